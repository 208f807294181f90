"""How this machine's way to packages reaches a build, and that it goes no further."""

from pathlib import Path

from hack.images.build import build_arguments
from hack.images.pip_settings import PipSettings, host_settings, parse_config_list, settings_of
from hack.images.recipes import WORKER

LISTED = r"""
global.index-url='https://mirror.example/simple'
global.timeout='60'
global.user='true'
install.timeout='90'
:env:.default-timeout='120'
:env:.trusted-host='a.example\nb.example'
freeze.timeout='1'
"""


def test_the_environment_wins_over_the_section_and_that_over_all() -> None:
    options = parse_config_list(LISTED)
    assert options["timeout"] == "120"
    assert parse_config_list(LISTED.replace(":env:.default", "other"))["timeout"] == "90"
    assert options["index-url"] == "https://mirror.example/simple"


def test_only_where_to_look_is_passed_on() -> None:
    settings = settings_of(parse_config_list(LISTED), {})
    assert settings == PipSettings(
        "[global]\n"
        "index-url = https://mirror.example/simple\n"
        "timeout = 120\n"
        "trusted-host = a.example b.example\n",
        None,
        (),
    )


def test_files_of_this_machine_get_places_in_the_build(tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / "a.whl").touch()
    (tmp_path / "empty").mkdir()
    places = f"{tmp_path}/empty https://wheels.example {tmp_path}/gone {tmp_path}/wheels"
    settings = settings_of({"find-links": places, "cert": "/etc/own.pem"}, {})

    assert settings.wheels == (tmp_path / "wheels",)
    assert settings.config.splitlines()[1:] == [
        "find-links = https://wheels.example /run/wheels/0",
        "cert = /run/secrets/ca.pem",
    ]
    assert settings.build_options(Path("/tmp/x.conf")) == [
        *("--secret", "id=pip.conf,src=/tmp/x.conf"),
        *("--secret", "id=ca.pem,src=/etc/own.pem"),
        *("--volume", f"{tmp_path}/wheels:/run/wheels/0:ro"),
    ]


def test_certificates_of_the_environment_count_where_pip_has_none() -> None:
    environment = {"REQUESTS_CA_BUNDLE": "/b.pem", "SSL_CERT_FILE": "/a.pem"}
    assert settings_of({}, environment).ca_file == Path("/a.pem")
    assert settings_of({"cert": "/own.pem"}, environment).ca_file == Path("/own.pem")
    assert settings_of({}, {}).ca_file is None


def test_pip_answers_on_this_machine(monkeypatch) -> None:
    monkeypatch.setenv("PIP_TIMEOUT", "77")
    monkeypatch.setenv("PIP_INDEX_URL", "https://mirror.example/simple")
    lines = host_settings().config.splitlines()
    assert "timeout = 77" in lines
    assert "index-url = https://mirror.example/simple" in lines


def test_no_setting_becomes_a_build_argument_or_a_label() -> None:
    arguments = {"BASE_IMAGE": "base", "VERSION": "1.2", "REVISION": "abc", "MODEL": "model"}
    command = build_arguments(WORKER, Path("/tree"), arguments, ["--secret", "id=pip.conf,src=/x"])
    assert command == [
        *("build", "--isolation", "chroot", "--layers", "--secret", "id=pip.conf,src=/x"),
        *("--build-arg", "BASE_IMAGE=base", "--build-arg", "VERSION=1.2"),
        *("--build-arg", "REVISION=abc", "--build-arg", "MODEL=model"),
        *("--label", "org.opencontainers.image.version=1.2"),
        *("--label", "org.opencontainers.image.revision=abc"),
        *("--file", "/tree/inference/Dockerfile", "--tag", WORKER.reference, "/tree"),
    ]

"""The operator's image: what is in it, what is not, and that it runs as a restricted pod would."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hack.images import OPERATOR, Store
from hack.images.build import ImageName
from hack.images.layers import file_sizes, open_layer, read_config, read_layers
from hack.images.recipes import ROOT
from support.images.archives import unpack
from support.images.container import Container
from whisperfleet import __version__

# The first of them may build the image.
# One process unpacks the image for all of them.
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(1200),
    pytest.mark.xdist_group("operator image"),
]

SITE_PACKAGES = "opt/whisperfleet/lib/python3.11/site-packages"


@pytest.fixture(scope="module")
def archive(build_image: Callable[[ImageName], Path]) -> Path:
    return build_image("operator")


@pytest.fixture(scope="module")
def image(archive: Path) -> dict[str, Any]:
    return read_config(archive)


@pytest.fixture(scope="module")
def ours(archive: Path) -> set[str]:
    """The files below our own folder."""
    found: set[str] = set()
    for layer in read_layers(archive):
        with open_layer(archive, layer) as stream:
            found |= {path for path in file_sizes(stream) if path.startswith("opt/whisperfleet/")}
    return found


@pytest.fixture(scope="module")
def container(
    archive: Path, image: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Container]:
    root = tmp_path_factory.mktemp("root")
    root.chmod(0o755)
    unpack(archive, root)
    yield Container(image["config"], root)
    subprocess.run(["rm", "-rf", root], check=True)


def test_what_it_says_of_itself(image: dict[str, Any]) -> None:
    config = image["config"]
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["whisperfleet-operator"]
    labels = config["Labels"]
    assert labels["org.opencontainers.image.title"] == "Whisperfleet operator"
    assert labels["org.opencontainers.image.version"] == __version__
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert "io.whisperfleet.model.digest" not in labels


def test_it_has_what_the_operator_needs_and_no_more(ours: set[str]) -> None:
    for module in ("whisperfleet_operator/process.py", "whisperfleet/queue/registration.py"):
        assert f"{SITE_PACKAGES}/{module}" in ours
    for part in ("worker", "engine", "audio", "cli", "client", "demo"):
        assert not [
            path for path in ours if path.startswith(f"{SITE_PACKAGES}/whisperfleet/{part}")
        ]
    for part in ("ctranslate2", "onnxruntime", "/pip/", "/bin/pip", "/bin/whisperfleet\n"):
        assert not [path for path in ours if part in f"{path}\n"], part
    packages = (f"{SITE_PACKAGES}/whisperfleet/", f"{SITE_PACKAGES}/whisperfleet_operator/")
    sources = [path for path in ours if path.startswith(packages) and path.endswith(".py")]
    compiled = [path for path in ours if path.startswith(packages) and path.endswith(".pyc")]
    assert len(compiled) == len(sources) > 50


def test_nothing_of_this_machine_is_in_it(archive: Path) -> None:
    for place in (f"{ROOT}/operator", f"{ROOT}/inference", str(Store().folder)):
        found = subprocess.run(["grep", "--count", "--fixed-strings", place, archive], check=False)
        assert found.returncode == 1, place


def test_it_runs_with_a_read_only_root_and_no_rights(container: Container) -> None:
    assert "Take care of the TranscriptionServices" in container.run(
        *container.config["Entrypoint"], "--help"
    )
    attempts = "id -u; for d in / /opt/whisperfleet /tmp; do test -w $d && echo $d; done; :"
    assert container.run("sh", "-c", attempts).split() == ["65532", "/tmp"]


def test_nothing_is_built_twice(build_image: Callable[[ImageName], Path], archive: Path) -> None:
    built = archive.stat().st_mtime_ns
    assert build_image("operator") == archive
    assert archive.stat().st_mtime_ns == built
    assert archive.parent.name == OPERATOR.name

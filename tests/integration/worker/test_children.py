"""What a worker starts imports nothing from the folder that the worker was started in."""

from pathlib import Path

import pytest

from support.audio.files import clips
from support.servers import wait_for
from support.workers import running_worker
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.states import State

# As the command `whisperfleet` does, it takes nothing from the folder itself.
COMMAND = ("-P", "-m", "whisperfleet")

STRANGER = """
import pathlib, sys
pathlib.Path(__file__).with_suffix(".ran").write_text(" ".join(sys.orig_argv))
sys.exit("a stranger's file was run")
"""


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """Return a folder with files that are called as modules which the children import."""
    for name in ("redis", "json", "numpy", "av", "whisperfleet", "encodings"):
        (tmp_path / f"{name}.py").write_text(STRANGER)
    return tmp_path


def test_a_worker_that_is_started_among_a_strangers_files_works(any_server, queue_id, hostile):
    client = Client(any_server.settings, queue_id)
    how = {"program": COMMAND, "cwd": hostile, "environment": {"PYTHONSAFEPATH": ""}}
    with running_worker(any_server, queue_id, "--beat-seconds", "0.2", **how) as worker:
        audio, said = clips()[0]
        ((_, result),) = client.wait([client.submit(Job(audio=audio))], timeout_seconds=60)
        assert (result.state, result.transcript.text) == (State.DONE, said)
        wait_for(lambda: worker.get("/readyz")[0] == 200, "leases are renewed too")
    assert list(hostile.glob("*.ran")) == []

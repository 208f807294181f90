"""What no producer is told: where in its worker a model or a file lies."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from support.audio.files import clips, wav
from support.workers import running_worker
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.states import State
from whisperfleet.engine.ctranslate2.models import resolve_model

JOBS = {
    "another model": {"audio": clips()[0][0], "model": "whisper-1"},
    "text": {"audio": b"I am a letter, not a song." * 40},
    "no samples": {"audio": wav(np.zeros(0, np.int16))},
    "a missing track": {"audio": clips()[0][0], "track": 9},
    "a file": {"url": "file:///etc/hostname"},
    "a missing file": {"url": "file:///clips/none.ogg"},
    "a loopback address": {"url": "https://127.0.0.1/a.ogg"},
}


def test_no_result_tells_a_path_of_the_worker(any_server, queue_id, tmp_path: Path):
    folder = tmp_path / "inner" / "calls-model"
    shutil.copytree(resolve_model("demo").path, folder)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    roots = tmp_path / "roots"
    with (
        running_worker(
            *(any_server, queue_id, "--scratch", str(scratch), "--file-roots", str(roots)),
            model=str(folder),
        ) as worker,
        Client(any_server.settings, queue_id) as client,
    ):
        ids = {client.submit(Job(**fields)): name for name, fields in JOBS.items()}
        results = {ids[job]: result for job, result in client.wait(ids, timeout_seconds=60)}
        told = worker.get("/metrics")[1]
    assert results.keys() == JOBS.keys()
    for name, result in results.items():
        assert str(tmp_path) not in result.model_dump_json(), name
        assert result.model.name == "calls-model"
    assert str(tmp_path) not in told
    # The field `model` is reserved: what recognised the words is told, and nothing is refused.
    assert results.pop("another model").state is State.DONE
    assert {result.state for result in results.values()} == {State.FAILED}


@pytest.mark.parametrize("model", ["whisper-1", "large-v9", "demo"])
def test_the_model_of_a_job_changes_nothing(client, model: str):
    audio, said = clips()[0]
    ((_, result),) = client.wait([client.submit(Job(audio=audio, model=model))], 60)
    assert (result.state, result.transcript.text) == (State.DONE, said)

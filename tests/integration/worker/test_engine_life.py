"""What an engine cannot do is refused before it is asked, and it is closed when all is over."""

import os
from pathlib import Path

import numpy as np
import pytest

from support.audio.files import clips, noise, wav
from support.servers import wait_for
from support.workers import Worker, running_worker, start_worker
from whisperfleet.client import Client
from whisperfleet.contract.codes import Code
from whisperfleet.contract.job import Job, Task
from whisperfleet.contract.states import State
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.engine import Capabilities
from whisperfleet.errors import InputError
from whisperfleet.worker.refusing import refuse_unable

TESTS = Path(__file__).parents[2]
TOY = {
    "program": (str(Path(__file__).parents[2] / "support" / "programs" / "toy_worker.py"),),
    "environment": {"PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])},
}
NOTHING = Capabilities(frozenset({"en"}), words=False, translate=False)
ALL = Capabilities(frozenset({"en", "de"}), words=True, translate=True)
AUDIO = clips()[0][0]


def messages(worker: Worker) -> list[str]:
    return [str(line.get("message")) for line in worker.log]


@pytest.mark.parametrize(
    ("wanted", "able", "code", "sentence"),
    [
        ({"language": "yue"}, ALL, Code.UNKNOWN_LANGUAGE, "not know 'yue', it knows 2 languages"),
        ({"language": "de"}, NOTHING, Code.UNKNOWN_LANGUAGE, "it knows only English"),
        ({"task": Task.TRANSLATE}, NOTHING, Code.INVALID_JOB, "not translate; leave `task` out"),
        ({"word_timestamps": True}, NOTHING, Code.INVALID_JOB, "leave `word_timestamps` out"),
    ],
)
def test_what_an_engine_cannot_do_is_refused_with_what_to_do(wanted, able, code, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        refuse_unable(able, Job(audio=b"a", **wanted))
    assert caught.value.code is code


def test_what_an_engine_can_do_is_not_refused():
    refuse_unable(NOTHING, Job(audio=b"a"))
    refuse_unable(NOTHING, Job(audio=b"a", language="en"))
    refuse_unable(ALL, Job(audio=b"a", language="de", task=Task.TRANSLATE, word_timestamps=True))


def test_a_worker_tells_what_its_engine_can_refuses_the_rest_and_closes_it(
    any_server: EmbeddedServer, queue_id: str
):
    with (
        Client(any_server.settings, queue_id) as client,
        running_worker(any_server, queue_id, "--batch-size=64", **TOY) as worker,
    ):
        # Its address would be refused too, if anybody looked at it.
        far = "https://never-asked.invalid/a.ogg"
        refused = [
            client.submit(Job(url=far, language="de")),
            client.submit(Job(url=far, task=Task.TRANSLATE)),
            client.submit(Job(url=far, word_timestamps=True)),
        ]
        done = client.submit(Job(audio=AUDIO))
        results = dict(client.wait([*refused, done], timeout_seconds=60))
    assert results[done].transcript.text == "loud."
    assert [results[job_id].state for job_id in refused] == [State.FAILED] * 3
    assert [results[job_id].error.code for job_id in refused] == [
        *(Code.UNKNOWN_LANGUAGE, Code.INVALID_JOB, Code.INVALID_JOB)
    ]
    assert {results[job_id].epoch for job_id in refused} == {1}, "a refusal is not tried again"

    (told,) = [line for line in worker.log if line.get("message") == "engine loaded"]
    assert told["languages"] == ["en"]
    assert (told["words"], told["translate"]) == (False, False)
    assert worker.said("takes 4 windows together and not the 64 of the setting batch_size")

    order = [one for one in messages(worker) if one in {"batch ended", "drained", "engine closed"}]
    assert order == ["batch ended", "drained", "engine closed"]


def test_a_job_that_waits_at_sigterm_has_its_words_before_the_engine_is_closed(
    any_server: EmbeddedServer, queue_id: str
):
    with Client(any_server.settings, queue_id) as client:
        jobs = client.submit_many(Job(audio=wav(noise(10 + n))) for n in range(6))
        with running_worker(any_server, queue_id, "--no-vad", **TOY) as worker:
            wait_for(lambda: "batch begun" in messages(worker), "the engine is at work")
            assert worker.terminate() == 0
        assert messages(worker).count("engine closed") == 1
        assert messages(worker)[-1] == "engine closed"
        states = {client.status(job).state for job in jobs}
    assert states <= {State.DONE, State.QUEUED}
    assert State.DONE in states


def test_a_worker_that_is_told_to_go_while_it_starts_closes_its_engine(
    any_server: EmbeddedServer, queue_id: str
):
    worker = start_worker(any_server, queue_id, **TOY)
    try:
        wait_for(lambda: worker.said("starting"), "the worker starts")
        assert worker.terminate() == 0
        assert messages(worker)[-1] == "engine closed"
    finally:
        worker.kill()


def test_an_engine_that_is_lost_is_left_alone(any_server: EmbeddedServer, queue_id: str):
    with Client(any_server.settings, queue_id) as client:
        worker = start_worker(any_server, queue_id, "--no-vad", **TOY)
        try:
            worker.wait_until_ready()
            client.submit(Job(audio=wav(np.zeros(16_000, np.int16))))
            assert worker.wait() == 3
        finally:
            worker.kill()
    assert worker.said("the toy is broken")
    assert "engine closed" not in messages(worker)


def test_an_engine_that_cannot_be_closed_is_told_of_and_the_drain_was_in_order(
    any_server: EmbeddedServer, queue_id: str
):
    with running_worker(any_server, queue_id, "--compute-type=stuck", **TOY) as worker:
        assert worker.terminate() == 0
    assert worker.said("the engine could not let go of its model and device")
    assert "the toy cannot be put away" in worker.raw_log

"""What a producer sees of a real worker: words for good input, a code and a remedy for bad."""

import json

import numpy as np
import pytest

from support.audio.files import clips, noise, wav
from support.queue.consumers import take
from support.servers import wait_for
from support.workers import running_worker
from whisperfleet.client import Client
from whisperfleet.contract.codes import Code
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.result import Result
from whisperfleet.contract.states import State
from whisperfleet.queue import Released, WorkQueue


def ending(client: Client, job: Job) -> Result:
    ((_, result),) = client.wait([client.submit(job)], timeout_seconds=60)
    return result


def test_words_come_back(client, origin):
    (first, said), (second, said_too) = clips()[:2]
    origin.files["/clip.ogg"] = second
    by_value = ending(client, Job(audio=first, formats=("srt",), metadata={"call": 7}))
    by_address = ending(client, Job(url=f"{origin.url}/clip.ogg", word_timestamps=True))

    assert by_value.state is State.DONE
    assert by_value.transcript.text == said
    assert by_value.metadata == {"call": 7}
    assert by_value.renderings["srt"].startswith("1\n00:00:0")
    assert by_value.model.name == "demo"
    assert len(by_value.model.digest) == 64
    assert by_value.timing.total >= by_value.timing.engine > 0
    assert by_value.timing.engine >= by_value.timing.waiting >= 0
    assert by_value.usage.device_seconds > 0
    assert (by_value.usage.windows, by_value.usage.attempts, by_value.usage.cached) == (1, 1, False)
    assert by_address.transcript.text == said_too
    assert [w.text for s in by_address.transcript.segments for w in s.words] == said_too.split()


def test_silence_has_no_words(client):
    result = ending(client, Job(audio=wav(np.zeros(32_000, np.int16))))
    assert result.state is State.DONE
    assert result.transcript.text == ""
    assert result.transcript.duration == 2.0


@pytest.mark.parametrize(
    ("job", "code"),
    [
        pytest.param({"audio": b"I am a letter, not a song." * 40}, Code.NOT_AUDIO, id="text"),
        pytest.param({"audio": wav(np.zeros(0, np.int16))}, Code.EMPTY, id="no-samples"),
        pytest.param(
            {"audio": wav(noise(2).reshape(-1, 16))}, Code.TOO_MANY_CHANNELS, id="channels"
        ),
        pytest.param({"url": "/none.ogg"}, Code.NOT_FOUND, id="404"),
        pytest.param({"url": "/empty.ogg"}, Code.EMPTY, id="empty-body"),
        pytest.param({"url": "/large.wav"}, Code.TOO_LARGE, id="too-large"),
        pytest.param({"url": "/long.wav"}, Code.TOO_LONG, id="too-long"),
        pytest.param({"url": "/redirect-to-metadata"}, Code.ADDRESS_REFUSED, id="redirect"),
        pytest.param({"url": "http://169.254.169.254/"}, Code.ADDRESS_REFUSED, id="metadata"),
        pytest.param({"url": "https://example.org/a.ogg"}, Code.HOST_REFUSED, id="host"),
        pytest.param({"url": "file:///etc/hostname"}, Code.SCHEME_REFUSED, id="file"),
        pytest.param({"url": "s3://bucket/key"}, Code.SCHEME_REFUSED, id="scheme"),
        pytest.param({"url": "https://"}, Code.INVALID_JOB, id="no-host"),
        pytest.param({"url": "/x", "language": "xx"}, Code.UNKNOWN_LANGUAGE, id="language"),
        pytest.param({"url": "/x", "task": "sing"}, Code.INVALID_JOB, id="task"),
        pytest.param({"url": "/x", "metadata": "{"}, Code.INVALID_JOB, id="metadata-json"),
        pytest.param({"url": "/x", "deadline": "soon"}, Code.INVALID_JOB, id="deadline"),
        pytest.param({"audio": b"x" * 1_100_000}, Code.TOO_LARGE, id="inline-too-large"),
        pytest.param({"audio": b"", "id": "no-bytes"}, Code.EMPTY, id="inline-empty"),
    ],
)
def test_bad_input_fails_at_once_and_names_the_fix(
    client, any_server, shared_queue_id, origin, job, code
):
    origin.files |= {
        "/empty.ogg": b"",
        "/large.wav": b"RIFF" + bytes(3_000_001),
        "/long.wav": wav(np.zeros(8_000 * 61, np.int16), rate=8_000),
    }
    if str(job.get("url", "")).startswith("/"):
        job = {**job, "url": origin.url + job["url"]}
    keys = Keys(shared_queue_id)
    with any_server.settings.connect() as raw:
        entry = raw.xadd(keys.stream("normal"), job).decode()
        job_id = job.get("id", f"normal-{entry}")
        wait_for(lambda: raw.exists(keys.result(job_id)), f"{job_id} has ended")
        result = client.result(job_id)
    assert result.state is State.FAILED
    assert result.error.code is code
    assert len(result.error.message) > 20
    assert result.epoch == 1, "bad input was tried again"


def test_a_refused_redirect_sends_no_packet(client, origin):
    before = len(origin.asked)
    ending(client, Job(url=f"{origin.url}/redirect-to-metadata?token=hush"))
    assert origin.asked[before:] == ["/redirect-to-metadata?token=hush"]


def test_an_expired_job_is_not_downloaded(client, origin):
    result = ending(
        client, Job(url=f"{origin.url}/never-asked.ogg", deadline="2020-01-01T00:00:00Z")
    )
    assert result.state is State.EXPIRED
    assert result.error.code is Code.DEADLINE_PASSED
    assert "/never-asked.ogg" not in origin.asked


def test_a_job_whose_former_worker_could_not_tell_that_it_was_late_is_expired(any_server, queue_id):
    with Client(any_server.settings, queue_id) as client, any_server.settings.connect() as raw:
        job_id = client.submit(Job(audio=wav(noise(1)), deadline="2020-01-01T00:00:00Z"))
        former = WorkQueue(raw, Keys(queue_id), "former-worker")
        former.settle(take(former), Released())
        with running_worker(any_server, queue_id):
            ((_, result),) = client.wait([job_id], timeout_seconds=60)
    assert (result.state, result.epoch) == (State.EXPIRED, 2)
    assert "this attempt, number 2, began" in result.error.message


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({b"hello": b"world"}, id="no-source"),
        pytest.param({b"url": b"https://\xff\xfe"}, id="not-utf8"),
        pytest.param({b"url": b"https://example.org", b"v": b"2.0"}, id="newer-protocol"),
        pytest.param({b"url": b"https://example.org", b"v": b"one"}, id="bad-version"),
        pytest.param({b"\xff": b"1"}, id="field-not-utf8"),
    ],
)
def test_a_malformed_entry_is_dead_and_the_loop_goes_on(
    client, any_server, shared_queue_id, worker, fields
):
    keys = Keys(shared_queue_id)
    before = worker.counted("whisperfleet_jobs_total{")
    with any_server.settings.connect() as raw:
        entry = raw.xadd(keys.stream("normal"), fields).decode()
        wait_for(lambda: raw.exists(keys.result(f"normal-{entry}")), "the entry has ended")
    result = client.result(f"normal-{entry}")
    assert result.state is State.DEAD
    dead = f'whisperfleet_jobs_total{{code="{result.error.code}",state="dead"}}'
    assert worker.counted(dead) >= 1
    assert worker.counted("whisperfleet_jobs_total{") == before + 1
    assert ending(client, Job(audio=wav(noise(1)))).state is State.DONE


def test_nothing_a_producer_sent_shows_in_logs_metrics_or_listings(client, admin, origin, worker):
    audio, said = next((a, s) for a, s in clips() if len(s.split()) >= 3)
    origin.files["/calls/17.ogg"] = audio
    good = Job(
        url=f"{origin.url}/calls/17.ogg?sig=s3cr3t-query",
        prompt="p3rsonal prompt",
        metadata={"note": "m3tadata"},
    )
    assert ending(client, good).transcript.text == said
    bad = ending(
        client, Job(url=f"{origin.url}/gone.ogg?sig=s3cr3t-query", prompt="p3rsonal prompt")
    )
    assert bad.error.code is Code.NOT_FOUND

    status, metrics = worker.get("/metrics")
    assert status == 200
    shown = {
        "the log": worker.raw_log,
        "the metrics": metrics,
        "the error": bad.error.message,
        "the statistics": json.dumps(admin.stats(), default=str),
        "the state": str(client.status(bad.id)),
    }
    for where, text in shown.items():
        for secret in ("s3cr3t-query", "p3rsonal", "m3tadata", said):
            assert secret not in text, f"{secret!r} shows in {where}"


def test_metrics_count_what_happened(client, worker):
    def counted(name: str) -> float:
        lines = worker.get("/metrics")[1].splitlines()
        return float(next(line.split()[-1] for line in lines if line.startswith(name)))

    name = 'whisperfleet_jobs_total{code="",state="done"}'
    ending(client, Job(audio=wav(noise(1))))
    before = counted(name)
    ending(client, Job(audio=wav(noise(1))))
    assert counted(name) == before + 1
    assert counted("whisperfleet_model_info") == 1
    assert counted("whisperfleet_job_wait_seconds_count") == counted(
        "whisperfleet_job_seconds_count"
    )
    assert counted("whisperfleet_job_seconds_count") >= counted(name)

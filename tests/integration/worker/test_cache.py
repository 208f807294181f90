"""The same audio under the same options costs the model once; anything else costs it again."""

import uuid
from collections.abc import Iterator

import pytest

from support.audio.files import clips
from support.workers import Worker, running_worker
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.states import State
from whisperfleet.engine.ctranslate2.models import resolve_model
from whisperfleet.engine.ctranslate2.whisper import WhisperEngine


def counted(worker, name: str) -> float:
    lines = worker.get("/metrics")[1].splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


def run(client: Client, **fields: object):
    ((_, result),) = client.wait([client.submit(Job(**fields))], timeout_seconds=60)
    assert result.state is State.DONE, result.error
    return result


HITS = 'whisperfleet_cache_lookups_total{answer="hit"}'
MISSES = 'whisperfleet_cache_lookups_total{answer="miss"}'


@pytest.fixture(scope="module")
def audio() -> bytes:
    return clips()[0][0]


@pytest.fixture(scope="module")
def filled(any_server, audio) -> Client:
    """A client of a queue whose worker has had the audio once and is gone."""
    client = Client(any_server.settings, f"cache.{uuid.uuid4().hex[:8]}")
    with running_worker(any_server, client.keys.queue_id):
        run(client, audio=audio)
    return client


@pytest.fixture(scope="module")
def running(any_server, audio) -> Iterator[tuple[Client, Worker]]:
    """A client and a worker that has had the audio once; do not stop it."""
    client = Client(any_server.settings, f"cache.{uuid.uuid4().hex[:8]}")
    with running_worker(any_server, client.keys.queue_id) as worker:
        run(client, audio=audio)
        yield client, worker


def test_a_hit_costs_no_engine_and_gives_the_same_words(running, audio):
    client, worker = running
    first = run(client, audio=audio, prompt="another")
    windows, hits, misses = (
        counted(worker, name) for name in ("whisperfleet_windows_total", HITS, MISSES)
    )
    again = run(client, audio=audio, prompt="another", formats=("srt",), metadata={"n": 2})
    assert again.transcript == first.transcript
    assert again.renderings
    assert again.metadata == {"n": 2}
    assert again.timing.engine == 0
    assert (first.usage.cached, again.usage.cached) == (False, True)
    assert (again.usage.windows, again.usage.device_seconds) == (0, 0)
    assert again.usage.audio_seconds == first.usage.audio_seconds > 0
    assert counted(worker, "whisperfleet_windows_total") == windows
    assert counted(worker, HITS) == hits + 1
    assert counted(worker, MISSES) == misses


@pytest.mark.parametrize(
    "different",
    [
        {"prompt": "hello"},
        {"word_timestamps": True},
        {"tenant": "acme"},
        {"channel": "split"},
        {"track": 1},
    ],
)
def test_other_options_or_another_tenant_miss(running, audio, different):
    client, worker = running
    hits, misses = counted(worker, HITS), counted(worker, MISSES)
    run(client, audio=audio, **different)
    assert counted(worker, HITS) == hits
    assert counted(worker, MISSES) > misses


def test_other_decoding_options_of_the_worker_miss(any_server, filled, audio):
    with running_worker(any_server, filled.keys.queue_id, "--beam-size", "1") as worker:
        run(filled, audio=audio)
        assert counted(worker, HITS) == 0


def test_another_version_of_the_worker_misses(any_server, filled, audio):
    newer = (
        "import whisperfleet; whisperfleet.__version__ = '99.0.0'; "
        "from whisperfleet.cli import main; main()"
    )
    with running_worker(any_server, filled.keys.queue_id, program=("-c", newer)) as worker:
        assert run(filled, audio=audio).worker_version == "99.0.0"
        assert counted(worker, HITS) == 0


def test_the_compute_type_is_what_default_came_to(any_server, filled, audio):
    model = WhisperEngine.load(resolve_model("demo"), device="cpu")
    options = ("--compute-type", model.compute_type)
    with running_worker(any_server, filled.keys.queue_id, *options) as worker:
        run(filled, audio=audio)
        assert counted(worker, HITS) == 1


def test_what_is_kept_fades_and_can_be_broken(any_server, queue_id, audio):
    client = Client(any_server.settings, queue_id)
    keys = Keys(queue_id)
    with (
        any_server.settings.connect() as raw,
        running_worker(any_server, queue_id, "--cache-seconds", "100"),
    ):
        first = run(client, audio=audio)
        (kept,) = raw.keys(keys.cache("*"))
        assert 0 < raw.pttl(kept) <= 100_000
        for broken in (b"{not a transcript", first.transcript.model_dump_json().encode()):
            raw.set(kept, broken)
            assert run(client, audio=audio).transcript == first.transcript
        raw.delete(kept)
        raw.lpush(kept, b"not even a string")
        assert run(client, audio=audio).transcript == first.transcript


def test_no_cache_keeps_nothing(any_server, queue_id, audio):
    client = Client(any_server.settings, queue_id)
    with (
        any_server.settings.connect() as raw,
        running_worker(any_server, queue_id, "--cache-seconds", "0") as worker,
    ):
        run(client, audio=audio)
        run(client, audio=audio)
        assert not raw.keys(Keys(queue_id).cache("*"))
        assert counted(worker, "whisperfleet_windows_total") >= 2

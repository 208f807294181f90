"""The same audio under the same options costs the model once; anything else costs it again."""

import pytest

from audio_files import clips
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.states import State
from whisperfleet.engine.ctranslate2.models import resolve_model
from whisperfleet.engine.ctranslate2.whisper import WhisperEngine
from workers import running_worker


def counted(worker, name: str) -> float:
    lines = worker.get("/metrics")[1].splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


def run(client: Client, **fields: object):
    ((_, result),) = client.wait([client.submit(Job(**fields))], timeout_seconds=60)
    assert result.state is State.DONE, result.error
    return result


@pytest.fixture
def audio() -> bytes:
    return clips()[0][0]


def test_a_hit_costs_no_engine_and_gives_the_same_words(any_server, queue_id, audio):
    client = Client(any_server.settings, queue_id)
    with running_worker(any_server, queue_id) as worker:
        first = run(client, audio=audio)
        windows = counted(worker, "whisperfleet_windows_total")
        again = run(client, audio=audio, formats=("srt",), metadata={"n": 2})
        assert again.transcript == first.transcript
        assert again.renderings
        assert again.metadata == {"n": 2}
        assert again.timing.engine == 0
        assert counted(worker, "whisperfleet_windows_total") == windows
        assert counted(worker, 'whisperfleet_cache_lookups_total{answer="hit"}') == 1
        assert counted(worker, 'whisperfleet_cache_lookups_total{answer="miss"}') == 1


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
def test_other_options_or_another_tenant_miss(any_server, queue_id, audio, different):
    client = Client(any_server.settings, queue_id)
    with running_worker(any_server, queue_id) as worker:
        run(client, audio=audio)
        run(client, audio=audio, **different)
        assert counted(worker, 'whisperfleet_cache_lookups_total{answer="hit"}') == 0


def test_other_decoding_options_of_the_worker_miss(any_server, queue_id, audio):
    client = Client(any_server.settings, queue_id)
    with running_worker(any_server, queue_id):
        run(client, audio=audio)
    with running_worker(any_server, queue_id, "--beam-size", "1") as worker:
        run(client, audio=audio)
        assert counted(worker, 'whisperfleet_cache_lookups_total{answer="hit"}') == 0


def test_another_version_of_the_worker_misses(any_server, queue_id, audio):
    newer = (
        "import whisperfleet; whisperfleet.__version__ = '99.0.0'; "
        "from whisperfleet.cli import main; main()"
    )
    client = Client(any_server.settings, queue_id)
    with running_worker(any_server, queue_id):
        run(client, audio=audio)
    with running_worker(any_server, queue_id, program=("-c", newer)) as worker:
        assert run(client, audio=audio).worker_version == "99.0.0"
        assert counted(worker, 'whisperfleet_cache_lookups_total{answer="hit"}') == 0


def test_the_compute_type_is_what_default_came_to(any_server, queue_id, audio):
    model = WhisperEngine.load(resolve_model("demo"), device="cpu")
    client = Client(any_server.settings, queue_id)
    with running_worker(any_server, queue_id):
        run(client, audio=audio)
    with running_worker(any_server, queue_id, "--compute-type", model.compute_type) as worker:
        run(client, audio=audio)
        assert counted(worker, 'whisperfleet_cache_lookups_total{answer="hit"}') == 1


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

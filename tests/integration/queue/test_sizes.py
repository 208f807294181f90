"""What large entries and long queues cost the server: no command holds it up for everybody else."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import redis

from support.queue.consumers import PATIENT, MakeWorker, done, take
from support.queue.server_time import ServerTime
from support.servers import SERVERS, assert_invariants, server_binary, wait_for
from whisperfleet.client import Admin, Cancelled, Client, Redriven
from whisperfleet.contract.codes import Code
from whisperfleet.contract.events import DeadLetter
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import DEFAULT_PRIORITIES, Keys
from whisperfleet.contract.sizes import MAX_ENTRY_BYTES, MAX_INLINE_AUDIO_BYTES
from whisperfleet.contract.states import State
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.errors import InputError
from whisperfleet.queue import Buried, Concluded, Released, Renewal, Settled, WorkQueue
from whisperfleet_operator.queues import QueueAddress, QueueProbe

AUDIO = bytes(range(256)) * (MAX_INLINE_AUDIO_BYTES // 256)
URL = "https://media.example.org/a.wav"
HELD = 24
# A budget that no test uses up by repeating itself.
OFTEN = replace(PATIENT, max_releases=1000, max_retries=1000)

Figure = Callable[[str], None]

on_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="the time of another process is Linux's to tell"
)


@pytest.fixture(scope="module", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[EmbeddedServer]:
    """A server that nobody else asks, so that what it does is this test's."""
    with EmbeddedServer(server_binary(request.param)) as running:
        yield running


@pytest.fixture
def server_time(server: EmbeddedServer) -> ServerTime:
    return ServerTime(server)


@pytest.fixture
def probe(tmp_path: Path) -> QueueProbe:
    """What the operator looks at queues with."""
    return QueueProbe(tmp_path, patience_seconds=30)


@pytest.fixture
def address(server: EmbeddedServer, keys: Keys) -> QueueAddress:
    streams = tuple(keys.stream(priority.name) for priority in DEFAULT_PRIORITIES)
    return QueueAddress(server.url, keys.queue_id, streams, lease_seconds=60)


def replied_bytes(raw: redis.Redis) -> int:
    return int(raw.info("stats")["total_net_output_bytes"])


@on_linux
def test_entries_of_a_mebibyte_hold_nobody_up(
    server_time: ServerTime,
    make_worker: MakeWorker,
    client: Client,
    admin: Admin,
    redis_client: redis.Redis,
    keys: Keys,
    report_figure: Figure,
    probe: QueueProbe,
    address: QueueAddress,
) -> None:
    worker, other = make_worker(OFTEN), make_worker(OFTEN)
    numbers = count()

    def live() -> None:
        jobs = [Job(id=f"call-{next(numbers)}", audio=AUDIO) for _ in range(HELD + 2)]
        for job in jobs:
            client.submit(job)
        claims = [take(worker) for _ in range(HELD)]
        assert set(worker.renew(claims).values()) == {Renewal.OK}
        assert worker.release_orphans(claims) == 0
        assert other.release_orphans([]) == 0
        assert worker.settle(claims[0], Released()) is Settled.RELEASED
        claims[0] = take(worker)
        assert client.cancel(claims[1].job_id) is Cancelled.RUNNING
        assert worker.settle(claims[2], Buried(Code.INTERNAL, "it is odd")) is Settled.PUBLISHED
        ((letter_id, _),) = admin.dead_letters()
        assert admin.redrive(letter_id) is Redriven.REDRIVEN
        for claim in (*claims[:2], *claims[3:]):
            assert worker.settle(claim, Concluded(done(claim))) is Settled.PUBLISHED
        # A duplicate of one that waits.
        client.submit(jobs[-1])
        assert admin.stats().streams[1].length == 4
        assert probe.sample(address, "cluster/team-a/calls").queued == 4
        assert admin.purge() == 3
        assert other.claim() is None

    report_figure(f"entries of 1 MiB: {server_time.assert_brief(live)}")
    assert redis_client.xlen(keys.stream("normal")) == 0


@on_linux
def test_many_strays_of_a_mebibyte_hold_nobody_up(
    server_time: ServerTime,
    make_worker: MakeWorker,
    client: Client,
    redis_client: redis.Redis,
    keys: Keys,
) -> None:
    holder, finder = make_worker(OFTEN), make_worker(OFTEN)
    for n in range(HELD):
        client.submit(Job(id=f"call-{n}", audio=AUDIO))
    claims = [take(holder) for _ in range(HELD)]

    def look() -> None:
        for claim in claims[::2]:
            redis_client.xack(claim.stream, keys.group, claim.entry_id)
        while redis_client.xpending(claims[0].stream, keys.group)["pending"] < HELD:
            assert finder.claim() is None

    server_time.assert_brief(look)
    for claim in claims:
        assert holder.settle(claim, Concluded(done(claim))) is Settled.PUBLISHED


def bury_many(raw: redis.Redis, keys: Keys, letters: int) -> None:
    letter = DeadLetter(
        id="call-1",
        stream="normal",
        entry="1-0",
        code=Code.INTERNAL,
        message="it is odd",
        fields={b"audio": AUDIO[:900_000], b"metadata": b'{"call": 1}'},
    )
    for _ in range(letters):
        raw.xadd(keys.dead_letters, letter.to_fields())


@on_linux
def test_dead_letters_with_audio_are_listed_without_it_and_hold_nobody_up(
    server_time: ServerTime,
    admin: Admin,
    redis_client: redis.Redis,
    keys: Keys,
    report_figure: Figure,
) -> None:
    bury_many(redis_client, keys, 60)
    before = replied_bytes(redis_client)

    report_figure(
        f"dead letters of 0.9 MB: {server_time.assert_brief(lambda: list(admin.dead_letters()))}"
    )

    letters = list(admin.dead_letters())
    assert len(letters) == 60
    assert replied_bytes(redis_client) - before < 10 * 60 * 1000
    letter_id, letter = letters[0]
    assert letter.fields == {b"metadata": b'{"call": 1}'}
    assert letter.left_out == {b"audio": 900_000}
    assert admin.dead_letter(letter_id) == letter


@on_linux
def test_large_dead_letters_go_a_few_at_a_time(
    server_time: ServerTime,
    make_worker: MakeWorker,
    redis_client: redis.Redis,
    keys: Keys,
) -> None:
    bury_many(redis_client, keys, 150)
    worker = make_worker(replace(PATIENT, dead_letter_seconds=0.001))
    outlast_last_letter(redis_client, keys)

    for left in (50, 0):
        with server_time.counted():
            worker.prune()
        assert redis_client.xlen(keys.dead_letters) == left


def outlast_last_letter(raw: redis.Redis, keys: Keys) -> None:
    """Return when the newest dead letter is two milliseconds old."""
    ((newest, _),) = raw.xrevrange(keys.dead_letters, count=1)
    buried = int(newest.partition(b"-")[0])

    def is_old() -> bool:
        seconds, microseconds = raw.time()
        return seconds * 1000 + microseconds // 1000 > buried + 1

    wait_for(is_old, "the newest letter is old")


def test_old_dead_letters_go_though_redis_keeps_them_together_with_new_ones(
    worker: WorkQueue, redis_client: redis.Redis, keys: Keys
) -> None:
    for entry_id in ("1-1", "1-2", "*"):
        redis_client.xadd(keys.dead_letters, {"id": "call-1"}, id=entry_id)
    worker.prune()
    assert redis_client.xlen(keys.dead_letters) == 1


def fill(raw: redis.Redis, keys: Keys, jobs: int) -> None:
    script = """
        for n = 1, ARGV[2] do
          redis.call('XADD', KEYS[1], '*', 'url', ARGV[1])
        end
    """
    for _ in range(0, jobs, 500):
        raw.eval(script, 1, keys.stream("normal"), URL, 500)


@on_linux
def test_a_hundred_thousand_that_wait_hold_nobody_up(
    server_time: ServerTime,
    make_worker: MakeWorker,
    client: Client,
    admin: Admin,
    redis_client: redis.Redis,
    keys: Keys,
    report_figure: Figure,
    probe: QueueProbe,
    address: QueueAddress,
) -> None:
    worker, other = make_worker(OFTEN), make_worker(OFTEN)
    streams = address.streams
    fill(redis_client, keys, 100_000)

    def live() -> None:
        claims = [take(worker) for _ in range(32)]
        assert set(worker.renew(claims).values()) == {Renewal.OK}
        assert worker.release_orphans(claims) == 0
        assert other.release_orphans([]) == 0
        worker.prune()
        assert probe.sample(address, "cluster/team-a/calls").running == 32
        for stream in streams:
            # What KEDA asks: its trigger by length, which is ours, and the one by lag.
            redis_client.xlen(stream)
            redis_client.xinfo_groups(stream)
            redis_client.xpending(stream, keys.group)
        assert admin.stats().streams[1].running == 32
        ((waiting, _),) = redis_client.xrevrange(streams[1], count=1)
        assert client.cancel(f"normal-{waiting.decode()}") is Cancelled.CANCELLED
        for claim in claims:
            assert worker.settle(claim, Concluded(done(claim))) is Settled.PUBLISHED

    report_figure(f"100,000 that wait: {server_time.assert_brief(live)}")
    # What is left of a purge costs what its beginning does.
    redis_client.xtrim(streams[1], maxlen=500, approximate=False)

    def purge() -> None:
        waiting = redis_client.xlen(streams[1])
        assert admin.purge() == waiting > 0
        fill(redis_client, keys, 500)

    server_time.assert_brief(purge)
    server_time.assert_brief(admin.drop)


def test_an_entry_over_the_limit_is_settled_without_its_audio(
    worker: WorkQueue, client: Client, admin: Admin, redis_client: redis.Redis, keys: Keys
) -> None:
    fields = {"id": "call-1", "audio": 20 * AUDIO, "metadata": '{"call": 1}'}
    redis_client.xadd(keys.stream("normal"), fields)
    before = replied_bytes(redis_client)

    assert worker.claim() is None

    assert replied_bytes(redis_client) - before < 10_000
    result = client.result("call-1")
    assert (result.state, result.error.code, result.epoch) == (State.FAILED, Code.TOO_LARGE, 1)
    assert f"the entry has {20 * MAX_INLINE_AUDIO_BYTES + 32} bytes" in result.error.message
    assert "url" in result.error.message
    assert result.metadata == {"call": 1}
    # Sent once more it is the same job, though nobody compared the audio.
    redis_client.xadd(keys.stream("normal"), fields)
    assert worker.claim() is None
    assert admin.stats().totals["duplicates"] == 1
    assert_invariants(redis_client, keys, accepted=1)


def test_so_is_one_of_very_many_fields(
    worker: WorkQueue, client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    fields = {"url": URL} | {f"x-{n}": "y" * 2000 for n in range(600)}
    entry = redis_client.xadd(keys.stream("normal"), fields)
    before = replied_bytes(redis_client)

    assert worker.claim() is None

    assert replied_bytes(redis_client) - before < 100_000
    assert client.result(f"normal-{entry.decode()}").error.code is Code.TOO_LARGE
    assert_invariants(redis_client, keys, accepted=1)


def test_the_largest_job_that_is_allowed_is_under_the_limit() -> None:
    job = Job(
        id="a" * 128,
        audio=AUDIO,
        prompt="\N{MUSICAL SYMBOL G CLEF}" * 2000,
        metadata={"a": "b" * 4000},
        sink="s" * 1024,
    )
    fields = job.to_fields()
    assert sum(len(name) + len(value) for name, value in fields.items()) < MAX_ENTRY_BYTES


def test_an_entry_over_the_limit_that_waits_can_be_cancelled(
    worker: WorkQueue, admin: Admin, redis_client: redis.Redis, keys: Keys
) -> None:
    for fields in ({"audio": 2 * AUDIO}, {"id": "call-1", "audio": 2 * AUDIO}):
        redis_client.xadd(keys.stream("normal"), fields)
    assert admin.purge() == 2
    assert worker.claim() is None
    assert_invariants(redis_client, keys, accepted=2)


def test_too_much_audio_is_refused_before_it_is_sent(
    client: Client, redis_client: redis.Redis, keys: Keys
) -> None:
    job = Job(audio=AUDIO + b"1")
    with pytest.raises(InputError, match="store the file and send its `url`"):
        client.submit(job)
    with pytest.raises(InputError):
        client.submit_many([job])
    assert redis_client.xlen(keys.stream("normal")) == 0

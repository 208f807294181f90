"""What must be true of a queue once everything in it has ended, as sentences where it is not."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import redis

from hack.chaos.plan import ENDS, Kind
from hack.chaos.usage import check_usage, read_sums
from whisperfleet.contract.events import DeadLetter, DoneEvent
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.result import Result
from whisperfleet.contract.states import TERMINAL, State

__all__ = ["Books", "check_books", "read_events"]

_PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class Books:
    """How many jobs ended in each state, and each way in which the promise was broken.

    `attempts` is how often all jobs together were begun, `usage` the queue's sums of what they
    used.
    """

    states: Counter[State | str]
    attempts: int
    usage: Counter[str]
    violations: tuple[str, ...]


def check_books(client: redis.Redis, keys: Keys, kinds: Mapping[str, Kind]) -> Books:
    """Compare the whole queue with what was sent; `kinds` has every id and what it was."""
    events = list(read_events(client, keys))
    usage = read_sums(client, keys)
    return Books(
        Counter(event.state for event in events),
        sum(event.epoch for event in events),
        usage,
        (
            *_check_ends(events, kinds),
            *_check_conflicts(events, kinds),
            *_check_records(client, keys, events),
            *_check_dead_letters(client, keys, events),
            *_check_counters(client, keys, events),
            *check_usage(client, keys, events, usage),
            *_check_nothing_left(client, keys),
        ),
    )


def read_events(client: redis.Redis, keys: Keys) -> Iterator[DoneEvent]:
    """Yield every done event, oldest first."""
    for _, fields in _pages(client, keys.done):
        yield DoneEvent.from_fields(fields)


def _check_ends(events: Collection[DoneEvent], kinds: Mapping[str, Kind]) -> Iterator[str]:
    """Look whether every id ended, once, and as one of its kind may."""
    ends: defaultdict[str, list[DoneEvent]] = defaultdict(list)
    for event in events:
        ends[event.id].append(event)
    for job_id, kind in kinds.items():
        if job_id not in ends:
            yield f"LOST: {job_id} ({kind}) never ended"
        elif (state := ends[job_id][0].state) not in ENDS[kind]:
            yield f"WRONG END: {job_id} ({kind}) ended as {state}, code {ends[job_id][0].code}"
    for job_id, found in ends.items():
        if len(found) > 1:
            epochs = [event.epoch for event in found]
            yield f"VISIBLE TWICE: {job_id} has {len(found)} done events, of epochs {epochs}"


def _check_conflicts(events: Collection[DoneEvent], kinds: Mapping[str, Kind]) -> Iterator[str]:
    """Look for ends under ids that nobody chose: conflicts only, and every one of them."""
    told = set()
    for event in events:
        if event.id in kinds:
            continue
        if kinds.get(event.conflicts_with or "") is Kind.CONFLICT and event.state is State.FAILED:
            told.add(event.conflicts_with)
        else:
            yield f"UNKNOWN: {event.id} ended as {event.state} and was never sent"
    for job_id, kind in kinds.items():
        if kind is Kind.CONFLICT and job_id not in told:
            yield f"UNTOLD: the second payload under {job_id} was not refused"


def _check_records(client: redis.Redis, keys: Keys, events: Collection[DoneEvent]) -> Iterator[str]:
    """Compare each event with the result and the job's own record; all of it must fade."""
    waiting = iter(events)
    while batch := list(islice(waiting, _PAGE)):
        with client.pipeline(transaction=False) as pipeline:
            for event in batch:
                pipeline.hmget(keys.job(event.id), "state", "epoch")
                pipeline.get(keys.result(event.id))
                pipeline.pttl(keys.job(event.id))
                pipeline.pttl(keys.result(event.id))
            replies: list[Any] = pipeline.execute()
        for event, record, result, *lives in zip(
            batch, replies[::4], replies[1::4], replies[2::4], replies[3::4], strict=True
        ):
            yield from _check_record(event, record, result, lives)


def _check_record(
    event: DoneEvent, record: list[bytes | None], result: bytes | None, lives: list[int]
) -> Iterator[str]:
    told = (event.state.encode(), str(event.epoch).encode())
    # A job that was cancelled before anybody began it has no epoch in its record.
    if (record[0], record[1] or b"0") != told:
        yield f"EPOCHS: {event.id} ended as {told} and its record says {record}"
    if result is None:
        yield f"NO RESULT: {event.id} ended and has no result"
    else:
        read = Result.model_validate_json(result)
        if (read.state, read.epoch) != (event.state, event.epoch):
            yield f"EPOCHS: {event.id} ended as {told}, its result is {read.state}, {read.epoch}"
    if min(lives) <= 0:
        yield f"FOR EVER: the record or the result of {event.id} does not fade"


def _check_dead_letters(
    client: redis.Redis, keys: Keys, events: Collection[DoneEvent]
) -> Iterator[str]:
    """Look for one dead letter for each job that is dead, and none for any other."""
    dead = Counter(event.id for event in events if event.state is State.DEAD)
    letters = Counter(
        DeadLetter.from_fields(fields).id for _, fields in _pages(client, keys.dead_letters)
    )
    for job_id in dead.keys() | letters.keys():
        if dead[job_id] != letters[job_id]:
            yield (
                f"DEAD LETTERS: {job_id} died {dead[job_id]} times and has "
                f"{letters[job_id]} letters"
            )


def _check_counters(
    client: redis.Redis, keys: Keys, events: Collection[DoneEvent]
) -> Iterator[str]:
    ended = Counter(event.state for event in events)
    counted = client.hgetall(keys.counters)
    for state in TERMINAL:
        total = int(counted.get(state.value.encode(), 0))
        if total != ended[state]:
            yield f"COUNTERS: {total} are counted as {state} and {ended[state]} events say so"


def _check_nothing_left(client: redis.Redis, keys: Keys) -> Iterator[str]:
    for stream in client.scan_iter(f"{keys.prefix}in:*"):
        if length := client.xlen(stream):
            yield f"LEFT: {stream.decode()} holds {length} entries"
        for group in client.xinfo_groups(stream):
            if group["pending"]:
                yield f"LEFT: {stream.decode()} has {group['pending']} pending entries"
    if running := client.hlen(keys.running):
        yield f"LEFT: {running} ended jobs are still listed as running"


def _pages(client: redis.Redis, stream: str) -> Iterator[tuple[bytes, dict[bytes, bytes]]]:
    after = "-"
    while True:
        entries: Any = client.xrange(stream, after, count=_PAGE)
        if not entries:
            return
        yield from entries
        after = "(" + entries[-1][0].decode()

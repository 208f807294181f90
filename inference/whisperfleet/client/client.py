"""A producer's view of one queue."""

import logging
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Self

import redis
from pydantic import ValidationError

from whisperfleet.client.reports import (
    SCAN_COUNT,
    Cancelled,
    JobStatus,
    QueueStats,
    Redriven,
    StreamStats,
    entry_time,
    find_sources,
    read_status,
)
from whisperfleet.client.waiting import ResultReader
from whisperfleet.contract.codes import Code
from whisperfleet.contract.events import DeadLetter, DoneEvent
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import DEFAULT_PRIORITIES, Keys, Priority, check_name
from whisperfleet.contract.result import Failure, Result
from whisperfleet.contract.states import State
from whisperfleet.queue import QueuePolicy, RedisSettings
from whisperfleet.queue.depths import read_depths
from whisperfleet.queue.faults import is_answered, passes
from whisperfleet.queue.scripts import Script

__all__ = ["Client"]

_log = logging.getLogger(__name__)

_CANCEL = Script("cancel")
_REDRIVE = Script("redrive")

# An id that the queue made: `<priority>-<entry id>` or `<priority>:<tenant>-<entry id>`.
_QUEUE_MADE_ID = re.compile(r"(?P<source>[^:]+(?::[^:]+)?)-(?P<entry>\d+-\d+)")
_ENTRY_ID = re.compile(r"\d+-\d+")
_PAGE = 200
_SUBMIT_SECONDS = 10.0
_FIRST_PAUSE_SECONDS = 0.25


class Client:
    """A producer of the queue `queue_id`; may be shared by threads.

    `tenant` hides the jobs of others and stamps one's own; with `own_stream` they go to the
    tenant's own streams, which the workers must be told of. Connection errors come out as
    `redis.RedisError`. Raises ValueError for a queue id or a tenant that cannot be one.
    """

    def __init__(
        self,
        settings: RedisSettings,
        queue_id: str,
        *,
        priorities: Sequence[Priority] = DEFAULT_PRIORITIES,
        tenant: str | None = None,
        own_stream: bool = False,
        policy: QueuePolicy | None = None,
    ) -> None:
        if tenant is not None:
            check_name(tenant)
        elif own_stream:
            raise ValueError("a stream of one's own needs a tenant to name it after")
        self.keys = Keys(queue_id)
        self._redis = settings.connect()
        self._tenant = tenant
        self._stream_tenant = tenant if own_stream else None
        self._sources = [
            priority.name + (f":{tenant}" if own_stream else "") for priority in priorities
        ]
        self._policy = policy or QueuePolicy()
        self._results = ResultReader(self._redis, self.keys, tenant, settings.max_block_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._redis.close()

    def submit(self, job: Job, priority: str = "normal") -> str:
        """Send a job and return its id.

        A server that refuses it because of a fail-over is asked again for 10 seconds, and so is one
        that does not answer if the job has an id of its own, since a second entry does no harm.
        Without one the error comes out, and whether the job arrived is not known. Raises
        `redis.OutOfMemoryError` when Redis is full.
        """
        source, fields = self._prepare(job, priority)
        entry = self._add(self._stream(source), fields, repeatable=job.id is not None)
        return self._remember(source, entry, job)

    def submit_many(self, jobs: Iterable[Job], priority: str = "normal") -> list[str]:
        """Send jobs, some hundred a round trip; return their ids in order. Nothing is repeated."""
        ids: list[str] = []
        queue = iter(jobs)
        while batch := list(islice(queue, _PAGE)):
            with self._redis.pipeline(transaction=False) as pipeline:
                for job in batch:
                    source, fields = self._prepare(job, priority)
                    pipeline.xadd(self._stream(source), fields)
                entries = pipeline.execute()
            ids += [
                self._remember(source, entry, job)
                for job, entry in zip(batch, entries, strict=True)
            ]
        return ids

    def status(self, job_id: str) -> JobStatus | None:
        """Return where a job is, or None where none is known under the id.

        A job with an id of its own becomes known when it is first begun.
        """
        known: Any = self._redis.hgetall(self.keys.job(job_id))
        if known and b"state" in known:
            # A tenant is what an entry says, whatever bytes that are.
            text = {k.decode(): v.decode("utf-8", "replace") for k, v in known.items()}
            status = read_status(job_id, text)
            return status if self._tenant in {None, status.tenant} else None
        return self._waiting(job_id)

    def result(self, job_id: str) -> Result | None:
        """Return how a job ended, or None where it has not, or its result has faded."""
        return self._results.result(job_id)

    def wait(
        self, job_ids: Iterable[str], timeout_seconds: float | None = None
    ) -> Iterator[tuple[str, Result]]:
        """Yield each job's id and result as it ends, those that have ended first.

        An id that another payload had already is answered with the failure of that submission.
        Redis may go away and come back meanwhile. Raises TimeoutError when jobs are left after
        `timeout_seconds`, `redis.RedisError` where Redis does not answer at first, or is away when
        the time is up, or for half a minute where there is none.
        """
        return self._results.wait(job_ids, timeout_seconds)

    def cancel(self, job_id: str) -> Cancelled:
        """Stop a job wherever it is; one that has ended stays as it is."""
        status = self.status(job_id)
        tenant = status.tenant if status else self._tenant
        made = _QUEUE_MADE_ID.fullmatch(job_id)
        if made and self._is_source(made["source"]):
            return self._cancel(job_id, made["source"], made["entry"], tenant)
        return self._cancel(job_id, "", "", tenant)

    def dead_letters(self) -> Iterator[tuple[str, DeadLetter]]:
        """Yield each dead letter with its own id, oldest first."""
        for letter_id, fields in self._pages(self.keys.dead_letters):
            if letter := self._read_letter(letter_id, fields):
                yield letter_id, letter

    def dead_letter(self, letter_id: str) -> DeadLetter | None:
        """Return one dead letter by its own id, or None where there is none."""
        if not _ENTRY_ID.fullmatch(letter_id):
            return None
        found: Any = self._redis.xrange(self.keys.dead_letters, letter_id, letter_id)
        return self._read_letter(letter_id, found[0][1]) if found else None

    def redrive(self, letter_id: str) -> Redriven:
        """Send the job of a dead letter again, under its id. Twice makes one run."""
        letter = self.dead_letter(letter_id)
        if letter is None:
            return Redriven.UNKNOWN
        keys = self.keys
        answer = _REDRIVE.run(
            self._redis,
            [
                keys.dead_letters,
                keys.job(letter.id),
                keys.result(letter.id),
                self._stream(letter.stream),
                keys.counters,
                keys.running,
            ],
            [letter_id, keys.prefix],
        )
        return Redriven(answer.decode())

    def _read_letter(self, letter_id: str, fields: Mapping[bytes, bytes]) -> DeadLetter | None:
        try:
            letter = DeadLetter.from_fields(fields)
        except (ValidationError, UnicodeDecodeError):
            _log.warning("the dead letter %s cannot be read and is passed over", letter_id)
            return None
        return letter if self._tenant in {None, letter.tenant} else None

    def stats(self) -> QueueStats:
        """Return the load of each stream, and the totals.

        Of every stream there is, also of priorities and tenants that the client was not told of.
        """
        sources = self._find_sources()
        streams = [self._stream(source) for source in sources]
        depths = read_depths(self._redis, self.keys, streams, self._policy.lease_seconds)
        totals: Any = self._redis.hgetall(self.keys.counters)
        return QueueStats(
            streams=tuple(
                StreamStats(source, depth.length, depth.running, depth.oldest)
                for source, depth in zip(sources, depths, strict=True)
            ),
            dead_letters=self._redis.xlen(self.keys.dead_letters),
            totals={name.decode(): int(count) for name, count in totals.items()},
        )

    def purge(self) -> int:
        """Cancel every job of the queue that has not ended; return how many waited.

        Running jobs stop with the next beat of their worker.
        """
        cancelled = 0
        for source in self._find_sources():
            for entry, fields in self._pages(self._stream(source)):
                own = fields.get(b"id", b"").decode("utf-8", "replace")
                tenant = source.partition(":")[2] or fields.get(b"tenant", b"").decode(
                    "utf-8", "replace"
                )
                # An entry whose own id cannot be one, or is another job's, has the one that the
                # queue makes; to any other that one is not known.
                answers = (
                    self._cancel(job_id, source, entry, tenant or None)
                    for job_id in (f"{source}-{entry}", own)
                    if job_id
                )
                answer = next((a for a in answers if a is not Cancelled.UNKNOWN), None)
                cancelled += answer is Cancelled.CANCELLED
        return cancelled

    def drop(self) -> int:
        """Delete the queue with all it holds, and return how many keys that were.

        Jobs that wait or run are gone without a result: `purge` gives them one. A worker that is
        still there makes its streams anew. Raises ValueError for the client of one tenant, whose
        queue it is not.
        """
        if self._tenant is not None:
            raise ValueError(f"the queue is not {self._tenant}'s alone: drop it without a tenant")
        dropped = 0
        keys = self._redis.scan_iter(f"{self.keys.prefix}*", count=SCAN_COUNT)
        while batch := list(islice(keys, _PAGE)):
            dropped += int(self._redis.unlink(*batch))
        return dropped

    def _add(self, stream: str, fields: dict[Any, Any], *, repeatable: bool) -> bytes:
        deadline, pause = time.monotonic() + _SUBMIT_SECONDS, _FIRST_PAUSE_SECONDS
        while True:
            try:
                entry: bytes = self._redis.xadd(stream, fields)
            except redis.RedisError as error:
                harmless = repeatable or is_answered(error)
                if not (harmless and passes(error)) or time.monotonic() + pause > deadline:
                    raise
                time.sleep(pause)
                # What was written and not answered is one entry more each time.
                pause *= 2
            else:
                return entry

    def _prepare(self, job: Job, priority: str) -> tuple[str, dict[Any, Any]]:
        if self._tenant is not None:
            if job.tenant not in {None, self._tenant}:
                raise ValueError(
                    f"the job is of tenant {job.tenant} and the client of {self._tenant}"
                )
            job = job.model_copy(update={"tenant": self._tenant})
        source = priority + (f":{self._stream_tenant}" if self._stream_tenant else "")
        if source not in self._sources:
            known = ", ".join(source.partition(":")[0] for source in self._sources)
            raise ValueError(f"there is no priority {priority!r}; choose one of {known}")
        return source, dict(job.to_fields())

    def _remember(self, source: str, entry: bytes, job: Job) -> str:
        made_id = f"{source}-{entry.decode()}"
        if job.id is None:
            return made_id
        # A submission whose id was taken fails under the id that the queue makes; see `wait`.
        self._results.remember(made_id, job.id)
        return job.id

    def _stream(self, source: str) -> str:
        priority, _, tenant = source.partition(":")
        return self.keys.stream(priority, tenant or None)

    def _find_sources(self) -> list[str]:
        """Return where jobs can be: of one tenant's client, where it sends them."""
        if self._tenant is not None:
            return self._sources
        others = find_sources(self._redis, self.keys) - set(self._sources)
        return [*self._sources, *sorted(others)]

    def _is_source(self, source: str) -> bool:
        """Return whether ids that begin so are the queue's own."""
        if source.partition(":")[0] in {own.partition(":")[0] for own in self._sources}:
            return True
        try:
            stream = self._stream(source)
        except ValueError:
            return False
        return self._tenant is None and bool(self._redis.exists(stream))

    def _waiting(self, job_id: str) -> JobStatus | None:
        """Return the status of a job that nobody has begun, where its id says where it is."""
        made = _QUEUE_MADE_ID.fullmatch(job_id)
        if not made or not self._is_source(made["source"]):
            return None
        entries: Any = self._redis.xrange(
            self._stream(made["source"]), made["entry"], made["entry"]
        )
        if not entries or b"id" in entries[0][1]:
            return None
        owner = made["source"].partition(":")[2].encode() or entries[0][1].get(b"tenant", b"")
        tenant = owner.decode("utf-8", "replace") or None
        if self._tenant not in {None, tenant}:
            return None
        return JobStatus(
            id=job_id,
            state=State.QUEUED,
            source=made["source"],
            tenant=tenant,
            enqueued_at=entry_time(made["entry"]),
        )

    def _cancel(self, job_id: str, source: str, entry: str, tenant: str | None) -> Cancelled:
        keys = self.keys
        result = Result(
            id=job_id,
            state=State.CANCELLED,
            error=Failure(code=Code.CANCELLED, message="cancelled before it was begun"),
            finished_at=datetime.now(UTC),
            tenant=tenant,
        )
        event = DoneEvent(
            id=job_id,
            state=State.CANCELLED,
            stream=source,
            entry=entry,
            code=Code.CANCELLED,
            tenant=tenant,
        )
        answer = _CANCEL.run(
            self._redis,
            [
                keys.job(job_id),
                keys.result(job_id),
                keys.done,
                keys.counters,
                keys.running,
                # A key has to be named all the same, and one that the caller may name.
                self._stream(source or self._sources[0]),
                *map(self._stream, self._sources),
            ],
            [
                keys.group,
                keys.prefix,
                entry,
                self._tenant or "",
                job_id,
                result.model_dump_json(),
                round(self._policy.result_seconds * 1000),
                self._policy.done_max_length,
                *(part for pair in event.to_fields().items() for part in pair),
            ],
        )
        return Cancelled(answer.decode())

    def _pages(self, stream: str) -> Iterator[tuple[str, dict[bytes, bytes]]]:
        start = "-"
        while True:
            page: Any = self._redis.xrange(stream, min=start, count=_PAGE)
            for entry, fields in page:
                yield entry.decode(), fields
            if len(page) < _PAGE:
                return
            start = f"({page[-1][0].decode()}"

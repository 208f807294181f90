"""A producer's view of one queue."""

import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Self

import redis
from redis.exceptions import NoPermissionError

from whisperfleet.client.letters import DeadLetters
from whisperfleet.client.paging import read_pages
from whisperfleet.client.reports import (
    SCAN_COUNT,
    Cancelled,
    Dropped,
    JobStatus,
    QueueStats,
    Redriven,
    find_stream_names,
    read_stats,
    read_status,
)
from whisperfleet.client.waiting import ResultReader
from whisperfleet.contract.codes import Code
from whisperfleet.contract.events import DeadLetter, DoneEvent
from whisperfleet.contract.job import Job, check_audio
from whisperfleet.contract.keys import (
    DEFAULT_PRIORITIES,
    Keys,
    Priority,
    check_name,
    split_made_id,
)
from whisperfleet.contract.result import Failure, Result
from whisperfleet.contract.states import State
from whisperfleet.contract.times import entry_time
from whisperfleet.errors import PartlySentError
from whisperfleet.queue import QueuePolicy, RedisSettings
from whisperfleet.queue.faults import is_answered, passes
from whisperfleet.queue.scripts import Script

__all__ = ["Client"]

_CANCEL = Script("cancel")

_PAGE = 200
_SUBMIT_SECONDS = 10.0
_FIRST_PAUSE_SECONDS = 0.25


class Client:
    """A producer of the queue `queue_id`; may be shared by threads, 500 of them at once.

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
        self._stream_names = [
            priority.name + (f":{tenant}" if own_stream else "") for priority in priorities
        ]
        self._policy = policy or QueuePolicy()
        self._results = ResultReader(
            self._redis, self.keys, tenant, self._stream_names, settings.max_block_seconds
        )
        self._letters = DeadLetters(self._redis, self.keys, tenant)

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
        `redis.OutOfMemoryError` when Redis is full, InputError for audio of more than 1 MiB.
        """
        stream_name, fields = self._prepare(job, priority)
        entry = self._add(self._stream(stream_name), fields, repeatable=job.id is not None)
        return self._remember(stream_name, entry, job)

    def submit_many(self, jobs: Iterable[Job], priority: str = "normal") -> list[str]:
        """Send jobs, some hundred a round trip; return their ids in order. Nothing is repeated.

        Where something ends that half-way PartlySentError has the ids of those that were sent;
        where none was, the error comes out as it is.
        """
        ids: list[str | None] = []
        queue = iter(jobs)
        try:
            while batch := list(islice(queue, _PAGE)):
                self._send(batch, priority, ids)
        except Exception as error:
            if any(ids):
                raise PartlySentError(ids, str(error)) from error
            raise
        return [job_id for job_id in ids if job_id is not None]

    def status(self, job_id: str) -> JobStatus | None:
        """Return where a job is, or None where none is known under the id.

        A job with an id of its own becomes known when it is first begun.
        """
        if status := read_status(self._redis, self.keys, job_id):
            return status if self._tenant in {None, status.tenant} else None
        return self._waiting(job_id)

    def has_been_read(self, priority: str = "normal") -> bool:
        """Return whether a worker has ever come for the jobs that go to a priority.

        None has where the queue's id or the priority is misspelt. True too where this account may
        not ask.
        """
        try:
            groups: Any = self._redis.xinfo_groups(self._stream(self._source(priority)))
        except NoPermissionError:
            return True
        except redis.ResponseError:
            return False  # there is no such stream
        return any(group["name"].decode() == self.keys.group for group in groups)

    def result(self, job_id: str) -> Result | None:
        """Return how a job ended, or None where it has not, or its result has faded."""
        return self._results.result(job_id)

    def wait(
        self, job_ids: Iterable[str], timeout_seconds: float | None = None
    ) -> Iterator[tuple[str, Result]]:
        """Yield each job's id and result as it ends, those that have ended first.

        An id that another payload had already is answered with the failure of that submission.
        Redis may go away and come back meanwhile. Raises TimeoutError when jobs are left after
        `timeout_seconds`, ResultGoneError once nothing can come for those that are left,
        `redis.RedisError` where Redis does not answer at first, or is away when the time is up, or
        for half a minute where there is none.
        """
        return self._results.wait(job_ids, timeout_seconds)

    def cancel(self, job_id: str) -> Cancelled:
        """Stop a job wherever it is; one that has ended stays as it is."""
        status = self.status(job_id)
        tenant = status.tenant if status else self._tenant
        stream_name, entry = split_made_id(job_id) or ("", "")
        if stream_name and self._is_stream_name(stream_name):
            return self._cancel(job_id, stream_name, entry, tenant)
        return self._cancel(job_id, "", "", tenant)

    def dead_letters(self) -> Iterator[tuple[str, DeadLetter]]:
        """Yield each dead letter with its own id, oldest first, without its audio."""
        return iter(self._letters)

    def dead_letter(self, letter_id: str) -> DeadLetter | None:
        """Return one dead letter by its own id, without its audio, or None where there is none."""
        return self._letters.get(letter_id)

    def redrive(self, letter_id: str) -> Redriven:
        """Send the job of a dead letter again, under its id. Twice makes one run."""
        return self._letters.redrive(letter_id)

    def drop_letter(self, name: str) -> Dropped:
        """Forget a dead letter and its job, so that the job's id is free at once.

        `name` is the letter's id; or the job's, where somebody has deleted the letter itself.
        """
        return self._letters.drop(name)

    def stats(self) -> QueueStats:
        """Return the load of each stream, and the totals.

        Of every stream there is, also of priorities and tenants that the client was not told of.
        """
        stream_names = self._find_stream_names()
        return read_stats(self._redis, self.keys, stream_names, self._policy.lease_seconds)

    def purge(self) -> int:
        """Cancel every job of the queue that has not ended; return how many waited.

        Running jobs stop with the next renewal of their lease.
        """
        cancelled = 0
        for stream_name in self._find_stream_names():
            for paged in read_pages(self._redis, self._stream(stream_name)):
                entry, fields = paged.entry_id, paged.fields
                own = fields.get(b"id", b"").decode("utf-8", "replace")
                tenant = stream_name.partition(":")[2] or fields.get(b"tenant", b"").decode(
                    "utf-8", "replace"
                )
                # An entry whose own id cannot be one, or is another job's, has the one that the
                # queue makes; to any other that one is not known.
                answers = (
                    self._cancel(job_id, stream_name, entry, tenant or None)
                    for job_id in (f"{stream_name}-{entry}", own)
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
                entry: Any = self._redis.xadd(stream, fields)
            except redis.RedisError as error:
                harmless = repeatable or is_answered(error)
                if not (harmless and passes(error)) or time.monotonic() + pause > deadline:
                    raise
                time.sleep(pause)
                # What was written and not answered is one entry more each time.
                pause *= 2
            else:
                return bytes(entry)

    def _prepare(self, job: Job, priority: str) -> tuple[str, dict[Any, Any]]:
        if self._tenant is not None:
            if job.tenant not in {None, self._tenant}:
                raise ValueError(
                    f"the job is of tenant {job.tenant} and the client of {self._tenant}"
                )
            job = job.model_copy(update={"tenant": self._tenant})
        # Whatever is sent Redis pays for, also what no worker takes.
        check_audio(job.audio)
        return self._source(priority), dict(job.to_fields())

    def _source(self, priority: str) -> str:
        stream_name = priority + (f":{self._stream_tenant}" if self._stream_tenant else "")
        if stream_name not in self._stream_names:
            known = ", ".join(stream_name.partition(":")[0] for stream_name in self._stream_names)
            raise ValueError(f"there is no priority {priority!r}; choose one of {known}")
        return stream_name

    def _send(self, batch: Sequence[Job], priority: str, ids: list[str | None]) -> None:
        """Send a batch in one round trip and note the id of each, None where it was not taken."""
        prepared = [self._prepare(job, priority) for job in batch]
        with self._redis.pipeline(transaction=False) as pipeline:
            for stream_name, fields in prepared:
                pipeline.xadd(self._stream(stream_name), fields)
            try:
                entries = pipeline.execute(raise_on_error=False)
            except redis.RedisError as error:
                entries = [error] * len(batch)
        refusal: redis.RedisError | None = None
        for job, (stream_name, _), entry in zip(batch, prepared, entries, strict=True):
            if isinstance(entry, redis.RedisError):
                refusal = refusal or entry
                ids.append(None)
            else:
                ids.append(self._remember(stream_name, entry, job))
        if refusal:
            raise refusal

    def _remember(self, stream_name: str, entry: bytes, job: Job) -> str:
        made_id = f"{stream_name}-{entry.decode()}"
        if job.id is None:
            return made_id
        # A submission whose id was taken fails under the id that the queue makes; see `wait`.
        self._results.remember(made_id, job.id)
        return job.id

    def _stream(self, stream_name: str) -> str:
        return self.keys.stream_named(stream_name)

    def _find_stream_names(self) -> list[str]:
        """Return where jobs can be: of one tenant's client, where it sends them."""
        if self._tenant is not None:
            return self._stream_names
        others = find_stream_names(self._redis, self.keys) - set(self._stream_names)
        return [*self._stream_names, *sorted(others)]

    def _is_stream_name(self, stream_name: str) -> bool:
        """Return whether ids that begin so are the queue's own."""
        if stream_name.partition(":")[0] in {own.partition(":")[0] for own in self._stream_names}:
            return True
        try:
            stream = self._stream(stream_name)
        except ValueError:
            return False
        return self._tenant is None and bool(self._redis.exists(stream))

    def _waiting(self, job_id: str) -> JobStatus | None:
        """Return the status of a job that nobody has begun, where its id says where it is."""
        stream_name, entry = split_made_id(job_id) or ("", "")
        if not stream_name or not self._is_stream_name(stream_name):
            return None
        entries: Any = self._redis.xrange(self._stream(stream_name), entry, entry)
        if not entries or b"id" in entries[0][1]:
            return None
        owner = stream_name.partition(":")[2].encode() or entries[0][1].get(b"tenant", b"")
        tenant = owner.decode("utf-8", "replace") or None
        if self._tenant not in {None, tenant}:
            return None
        return JobStatus(
            id=job_id,
            state=State.QUEUED,
            stream=stream_name,
            tenant=tenant,
            enqueued_at=entry_time(entry),
        )

    def _cancel(self, job_id: str, stream_name: str, entry: str, tenant: str | None) -> Cancelled:
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
            stream=stream_name,
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
                self._stream(stream_name or self._stream_names[0]),
                *map(self._stream, self._stream_names),
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

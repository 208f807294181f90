"""What a producer says to Redis: each of its requests as a conversation.

`Client` carries them out on a thread, `AsyncClient` in an event loop; neither adds to them.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import redis
from redis.exceptions import NoPermissionError

from whisperfleet.client.cancelling import cancel
from whisperfleet.client.reports import Cancelled, JobStatus
from whisperfleet.client.results import ResultReader
from whisperfleet.client.scope import Scope
from whisperfleet.client.sent_ids import SentIds
from whisperfleet.client.status import read_entry_status, read_status
from whisperfleet.client.vanished import Vanished
from whisperfleet.client.watch import Watch
from whisperfleet.contract.job import Job, check_audio
from whisperfleet.contract.keys import split_made_id
from whisperfleet.contract.result import Result
from whisperfleet.errors import PartlySentError
from whisperfleet.queue.faults import is_answered, passes
from whisperfleet.queue.requests import Batch, Command, Conversation, Pause, ask

__all__ = ["Producer"]

_PAGE = 200
_SUBMIT_SECONDS = 10.0
_FIRST_PAUSE_SECONDS = 0.25


class Producer:
    """The requests of one producer. `Client` says what each means to the caller."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._sent = SentIds()
        self._results = ResultReader(scope.keys, scope.tenant, self._sent)

    def submit(self, job: Job, priority: str) -> Conversation[str]:
        """Send a job and return its id."""
        stream_name, command = self._prepare(job, priority)
        deadline, pause = time.monotonic() + _SUBMIT_SECONDS, _FIRST_PAUSE_SECONDS
        while True:
            try:
                entry = yield command
            except redis.RedisError as error:
                harmless = job.id is not None or is_answered(error)
                if not (harmless and passes(error)) or time.monotonic() + pause > deadline:
                    raise
                yield Pause(pause)
                # What was written and not answered is one entry more each time.
                pause *= 2
            else:
                return self._remember(stream_name, entry, job)

    def submit_many(self, jobs: Iterable[Job], priority: str) -> Conversation[list[str]]:
        """Send jobs, some hundred a round trip; return their ids in order."""
        ids: list[str | None] = []
        queue = iter(jobs)
        try:
            while batch := list(islice(queue, _PAGE)):
                yield from self._send(batch, priority, ids)
        except Exception as error:
            if any(ids):
                raise PartlySentError(ids, str(error)) from error
            raise
        return [job_id for job_id in ids if job_id is not None]

    def status(self, job_id: str) -> Conversation[JobStatus | None]:
        """Return where a job is."""
        status = yield from read_status(self._scope.keys, job_id)
        if not status:
            stream_name, entry = split_made_id(job_id) or ("", "")
            if stream_name and (yield from self._is_stream(stream_name)):
                status = yield from read_entry_status(self._scope.keys, stream_name, entry)
        return status if status and self._scope.includes(status.tenant) else None

    def has_been_read(self, priority: str) -> Conversation[bool]:
        """Return whether a worker has ever come for the jobs that go to a priority."""
        keys = self._scope.keys
        stream = keys.stream_named(self._scope.stream_name(priority))
        try:
            groups = yield from ask("XINFO GROUPS", stream)
        except NoPermissionError:
            return True
        except redis.ResponseError:
            return False  # there is no such stream
        return any(group["name"].decode() == keys.group for group in groups)

    def result(self, job_id: str) -> Conversation[Result | None]:
        """Return how a job ended."""
        found = yield from self._results.of_ids([job_id])
        return found.get(job_id)

    def cancel(self, job_id: str) -> Conversation[Cancelled]:
        """Stop a job wherever it is."""
        status = yield from self.status(job_id)
        tenant = status.tenant if status else self._scope.tenant
        stream_name, entry = split_made_id(job_id) or ("", "")
        if stream_name and (yield from self._is_stream(stream_name)):
            return (yield from cancel(self._scope, job_id, tenant, stream_name, entry))
        return (yield from cancel(self._scope, job_id, tenant))

    def watch(self, clock: Callable[[], float] = time.monotonic) -> Watch:
        """Return what follows jobs to their ends."""
        scope = self._scope
        vanished = Vanished(scope.keys, scope.tenant, scope.stream_names)
        return Watch(self._results, vanished, clock)

    def _prepare(self, job: Job, priority: str) -> tuple[str, Command]:
        tenant = self._scope.tenant
        if tenant is not None:
            if not self._scope.includes(job.tenant or tenant):
                raise ValueError(f"the job is of tenant {job.tenant} and the client of {tenant}")
            job = job.model_copy(update={"tenant": tenant})
        # Whatever is sent Redis pays for, also what no worker takes.
        check_audio(job.audio)
        stream_name = self._scope.stream_name(priority)
        fields = (part for pair in job.to_fields().items() for part in pair)
        return stream_name, Command(
            ("XADD", self._scope.keys.stream_named(stream_name), "*", *fields)
        )

    def _send(
        self, batch: Sequence[Job], priority: str, ids: list[str | None]
    ) -> Conversation[None]:
        """Send a batch in one round trip and note the id of each, None where it was not taken."""
        prepared = [self._prepare(job, priority) for job in batch]
        try:
            entries = yield Batch(tuple(command for _, command in prepared))
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
        # A submission whose id was taken fails under the id that the queue makes.
        self._sent.remember(made_id, job.id)
        return job.id

    def _is_stream(self, stream_name: str) -> Conversation[bool]:
        """Return whether ids that begin so are the queue's own."""
        own = {name.partition(":")[0] for name in self._scope.stream_names}
        if stream_name.partition(":")[0] in own:
            return True
        try:
            stream = self._scope.keys.stream_named(stream_name)
        except ValueError:
            return False
        return self._scope.tenant is None and bool((yield from ask("EXISTS", stream)))

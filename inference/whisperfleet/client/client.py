"""A producer of one queue, for threads."""

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Self, TypeVar

from whisperfleet.client.producer import Producer
from whisperfleet.client.reports import Cancelled, JobStatus
from whisperfleet.client.scope import Scope
from whisperfleet.client.waiting import wait
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import DEFAULT_PRIORITIES, Priority
from whisperfleet.contract.result import Result
from whisperfleet.errors import ClientClosedError
from whisperfleet.queue import QueuePolicy
from whisperfleet.queue.connection import RedisSettings
from whisperfleet.queue.requests import Conversation, run

__all__ = ["Client"]

_T = TypeVar("_T")


class Client:
    """A producer of the queue `queue_id`; may be shared by threads, 500 of them at once.

    `tenant` hides the jobs of others and stamps one's own; with `own_stream` they go to the
    tenant's own streams, which the workers must be told of. Connection errors come out as
    `redis.RedisError`; once it is closed every method raises ClientClosedError. Raises ValueError
    for a queue id or a tenant that cannot be one.
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
        scope = Scope.of(queue_id, priorities, tenant, own_stream=own_stream, policy=policy)
        self.keys = scope.keys
        self._producer = Producer(scope)
        self._redis = settings.connect()
        self._max_block_seconds = settings.max_block_seconds
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back; whoever waits gets ClientClosedError."""
        self._closed.set()
        self._redis.close()

    def submit(self, job: Job, priority: str = "normal") -> str:
        """Send a job and return its id.

        A server that refuses it because of a fail-over is asked again for 10 seconds, and so is one
        that does not answer if the job has an id of its own, since a second entry does no harm.
        Without one the error comes out, and whether the job arrived is not known. Raises
        `redis.OutOfMemoryError` when Redis is full, InputError for audio of more than 1 MiB.
        """
        return self._run(self._producer.submit(job, priority))

    def submit_many(self, jobs: Iterable[Job], priority: str = "normal") -> list[str]:
        """Send jobs, some hundred a round trip; return their ids in order. Nothing is repeated.

        Where something ends that half-way PartlySentError has the ids of those that were sent;
        where none was, the error comes out as it is.
        """
        return self._run(self._producer.submit_many(jobs, priority))

    def status(self, job_id: str) -> JobStatus | None:
        """Return where a job is, or None where none is known under the id.

        A job with an id of its own becomes known when it is first begun.
        """
        return self._run(self._producer.status(job_id))

    def has_been_read(self, priority: str = "normal") -> bool:
        """Return whether a worker has ever come for the jobs that go to a priority.

        None has where the queue's id or the priority is misspelt. True too where this account may
        not ask.
        """
        return self._run(self._producer.has_been_read(priority))

    def result(self, job_id: str) -> Result | None:
        """Return how a job ended, or None where it has not, or its result has faded."""
        return self._run(self._producer.result(job_id))

    def wait(
        self, job_ids: Iterable[str], timeout_seconds: float | None = None
    ) -> Iterator[tuple[str, Result]]:
        """Yield each job's id and result as it ends, those that have ended first.

        An id that another payload had already is answered with the failure of that submission.
        Redis may go away and come back meanwhile. Raises TimeoutError when jobs are left after
        `timeout_seconds`, ResultGoneError once nothing can come for those that are left,
        `redis.RedisError` where Redis does not answer at first, or is away when the time is up, or
        for half a minute where there is none, ClientClosedError once the client is closed.

        Each call reads the events of the queue for itself, on a connection of its own and for any
        number of jobs. Thousands of waits at once share one reader in an `AsyncClient`.
        """
        watch = self._producer.watch()
        return wait(self._run, watch, job_ids, timeout_seconds, self._max_block_seconds)

    def cancel(self, job_id: str) -> Cancelled:
        """Stop a job wherever it is; one that has ended stays as it is."""
        return self._run(self._producer.cancel(job_id))

    def _run(self, conversation: Conversation[_T]) -> _T:
        if self._closed.is_set():
            raise ClientClosedError("the client is closed; make a new one")
        try:
            return run(self._redis, conversation, self._closed.wait)
        # redis-py stumbles in many ways over a connection that another thread takes away.
        except Exception as error:
            if self._closed.is_set():
                raise ClientClosedError(
                    "the client was closed meanwhile; jobs that were sent go on"
                ) from error
            raise

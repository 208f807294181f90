"""A producer of one queue, for asyncio."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, Self, TypeVar

import redis
import redis.asyncio

from whisperfleet.client.done_events import DoneEvents
from whisperfleet.client.producer import Producer
from whisperfleet.client.reports import Cancelled, JobStatus
from whisperfleet.client.scope import Scope
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import DEFAULT_PRIORITIES, Priority
from whisperfleet.contract.result import Result
from whisperfleet.errors import ClientClosedError
from whisperfleet.queue import QueuePolicy, RedisSettings
from whisperfleet.queue.async_connection import connect
from whisperfleet.queue.requests import Batch, Command, Conversation, Pause, Request

__all__ = ["AsyncClient"]

_T = TypeVar("_T")


class AsyncClient:
    """A producer of the queue `queue_id` for the tasks of one event loop.

    The methods, their arguments and their errors are those of `Client`. Up to 32 connections serve
    any number of tasks. A task that is cancelled leaves what it was sending under way: the job may
    have been sent.
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
        self._redis = connect(settings)
        self._requests: set[asyncio.Task[Any]] = set()
        self._events = DoneEvents(self._run, self._producer.watch(), settings.max_block_seconds)
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Give the connections back; whoever waits gets ClientClosedError."""
        self._is_closed = True
        await self._events.close()
        for request in self._requests:
            request.cancel()
        await asyncio.gather(*self._requests, return_exceptions=True)
        await self._redis.aclose()

    async def submit(self, job: Job, priority: str = "normal") -> str:
        """Send a job and return its id; see `Client.submit`."""
        return await self._run(self._producer.submit(job, priority))

    async def submit_many(self, jobs: Iterable[Job], priority: str = "normal") -> list[str]:
        """Send jobs, some hundred a round trip; see `Client.submit_many`."""
        return await self._run(self._producer.submit_many(jobs, priority))

    async def status(self, job_id: str) -> JobStatus | None:
        """Return where a job is; see `Client.status`."""
        return await self._run(self._producer.status(job_id))

    async def has_been_read(self, priority: str = "normal") -> bool:
        """Return whether a worker has ever come for a priority; see `Client.has_been_read`."""
        return await self._run(self._producer.has_been_read(priority))

    async def result(self, job_id: str) -> Result | None:
        """Return how a job ended, or None where it has not, or its result has faded."""
        return await self._run(self._producer.result(job_id))

    def wait(
        self, job_ids: Iterable[str], timeout_seconds: float | None = None
    ) -> AsyncIterator[tuple[str, Result]]:
        """Yield each job's id and result as it ends; see `Client.wait`.

        All waits of a client share one reader of events on one connection, and one of results.
        Each looks at the results at least once, for up to a second where `timeout_seconds` is less.
        """
        return self._events.wait(job_ids, timeout_seconds)

    async def cancel(self, job_id: str) -> Cancelled:
        """Stop a job wherever it is; one that has ended stays as it is."""
        return await self._run(self._producer.cancel(job_id))

    async def _run(self, conversation: Conversation[_T]) -> _T:
        try:
            request = self._checked(next(conversation))
            while True:
                try:
                    reply = await self._perform(request)
                except redis.RedisError as error:
                    request = self._checked(conversation.throw(error))
                else:
                    request = self._checked(conversation.send(reply))
        except StopIteration as end:
            result: _T = end.value
            return result
        finally:
            conversation.close()

    def _checked(self, request: Request) -> Request:
        if self._is_closed:
            raise ClientClosedError("the client is closed; make a new one")
        return request

    async def _perform(self, request: Request) -> Any:
        if isinstance(request, Pause):
            return await asyncio.sleep(request.seconds)
        # In a task of its own: redis-py closes a connection whose command is cancelled, and callers
        # of a gateway hang up often.
        task = asyncio.create_task(_send(self._redis, request))
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled() and self._is_closed:
                raise ClientClosedError(
                    "the client was closed meanwhile; jobs that were sent go on"
                ) from None
            raise


async def _send(client: redis.asyncio.Redis, request: Command | Batch) -> Any:
    match request:
        case Command(words):
            return await client.execute_command(*words)  # type: ignore[no-untyped-call]
        case Batch(commands):
            async with client.pipeline(transaction=False) as pipeline:
                for command in commands:
                    pipeline.execute_command(*command.words)
                return await pipeline.execute(raise_on_error=False)

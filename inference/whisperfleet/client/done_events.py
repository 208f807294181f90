"""One reader of the `done` stream for every wait of one client in one event loop."""

import asyncio
import math
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Coroutine, Iterable
from typing import Any, Protocol, TypeVar

import redis

from whisperfleet.client.waiting import OUTAGE_SECONDS, PAUSE_SECONDS, check_timeout, late
from whisperfleet.client.watch import Findings, Watch
from whisperfleet.contract.result import Result
from whisperfleet.errors import ClientClosedError, ResultGoneError
from whisperfleet.queue.faults import passes
from whisperfleet.queue.requests import Conversation

__all__ = ["Converse", "DoneEvents"]

# Whoever waits has one look at the results, however short the time is.
_FIRST_LOOK_SECONDS = 1.0

_T = TypeVar("_T")


class Converse(Protocol):
    """Carries out a conversation and returns what it came to."""

    def __call__(self, conversation: Conversation[_T], /) -> Coroutine[Any, Any, _T]:
        """Raise `redis.RedisError` as the conversation does."""


class _Waiter:
    """One wait: the jobs that are left, and what came for it that it has not passed on yet."""

    def __init__(self, job_ids: Iterable[str]) -> None:
        self.left = set(job_ids)
        self.not_looked_at = set(self.left)
        self.found: deque[tuple[str, Result]] = deque()
        self.gone: set[str] = set()
        self.error: Exception | None = None
        self.changed = asyncio.Event()

    def fail(self, error: Exception) -> None:
        """End the wait with an error, unless it has one."""
        self.error = self.error or error
        self.changed.set()


class DoneEvents:
    """Tells waits of the jobs that end.

    However many there are, one task reads events on one connection and one other looks at results;
    they begin with the first wait and end soon after the last. All of it belongs to the event loop
    in which the first wait begins.
    """

    def __init__(
        self,
        converse: Converse,
        watch: Watch,
        max_block_seconds: float,
    ) -> None:
        self._converse = converse
        self._watch = watch
        self._max_block_seconds = max_block_seconds
        self._waiters: set[_Waiter] = set()
        self._by_job: defaultdict[str, set[_Waiter]] = defaultdict(set)
        self._look_now = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._is_closed = False
        # Since when Redis does not answer, and how it was said at last.
        self._away: tuple[float, redis.RedisError] | None = None

    async def wait(
        self, job_ids: Iterable[str], timeout_seconds: float | None
    ) -> AsyncIterator[tuple[str, Result]]:
        """Yield each job's id and result as it ends; see `AsyncClient.wait`."""
        seconds = check_timeout(timeout_seconds)
        waiter = _Waiter(job_ids)
        begun = self._now()
        self._register(waiter)
        try:
            while waiter.left or waiter.found:
                while waiter.found:
                    yield waiter.found.popleft()
                if waiter.left:
                    await self._change(waiter, begun, seconds)
        finally:
            self._unregister(waiter)
        if waiter.gone:
            raise ResultGoneError(waiter.gone)

    async def close(self) -> None:
        """End every wait with ClientClosedError, and the reader."""
        self._is_closed = True
        for waiter in self._waiters:
            waiter.fail(
                ClientClosedError(
                    f"the client was closed while {len(waiter.left)} jobs were waited for, "
                    f"{min(waiter.left)} among them; they go on"
                    if waiter.left
                    else "the client was closed"
                )
            )
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    def _register(self, waiter: _Waiter) -> None:
        if self._is_closed:
            raise ClientClosedError("the client is closed; make a new one")
        self._waiters.add(waiter)
        for job_id in waiter.left:
            self._by_job[job_id].add(waiter)
        if not self._tasks or self._tasks[0].done():
            for task in self._tasks:
                task.cancel()
            self._away = None
            self._watch.lose_place()
            self._tasks = [
                asyncio.create_task(self._guard(self._follow()), name="done events"),
                asyncio.create_task(self._guard(self._look()), name="results"),
            ]
        self._watch.add(waiter.left)
        self._look_now.set()

    def _unregister(self, waiter: _Waiter) -> None:
        self._waiters.discard(waiter)
        for job_id in waiter.left:
            self._forget(job_id, waiter)

    def _forget(self, job_id: str, waiter: _Waiter) -> None:
        """Note that a wait for a job is over."""
        waiters = self._by_job[job_id]
        waiters.discard(waiter)
        if not waiters:
            del self._by_job[job_id]
            self._watch.discard([job_id])

    async def _change(self, waiter: _Waiter, begun: float, seconds: float) -> None:
        """Return when something has come for a wait; raise its error, or that its time is up."""
        while not waiter.found and waiter.left:
            if waiter.error:
                # One error may be raised by thousands; each by itself is as long as its own way.
                raise waiter.error.with_traceback(None)
            waiter.changed.clear()
            until = self._patience(waiter, begun, seconds)
            if until <= self._now():
                raise (
                    self._away[1].with_traceback(None) if self._away else late(waiter.left, seconds)
                )
            try:
                async with asyncio.timeout_at(None if math.isinf(until) else until):
                    await waiter.changed.wait()
            except TimeoutError:
                continue

    def _patience(self, waiter: _Waiter, begun: float, seconds: float) -> float:
        """Return until when to wait, by the clock of the loop."""
        if math.isinf(seconds):
            return self._away[0] + OUTAGE_SECONDS if self._away else math.inf
        return begun + (max(seconds, _FIRST_LOOK_SECONDS) if waiter.not_looked_at else seconds)

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        """Do a part of the reader's work; no wait outlasts the end of it."""
        try:
            await work
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait get it
            self._fail(error)
        self._look_now.set()

    def _fail(self, error: Exception) -> None:
        for waiter in self._waiters:
            waiter.fail(error)

    async def _follow(self) -> None:
        """Read events, until the last wait is over and one more read is."""
        had_place = False
        while self._waiters:
            try:
                await self._converse(self._watch.follow(self._max_block_seconds))
                had_place, self._away = True, None
            except redis.RedisError as error:
                self._watch.lose_place()
                # Whoever begins where nobody answers is told so; who has begun is patient.
                await self._bear(error, is_first=not had_place)
            self._look_now.set()

    async def _look(self) -> None:
        """Look at results whenever there is cause, as long as events are read."""
        while not self._tasks[0].done():
            self._look_now.clear()
            pause = self._watch.next_look - time.monotonic()
            if pause > 0:
                await self._until_cause(pause)
                continue
            known = frozenset(self._waiters)
            try:
                findings = await self._converse(self._watch.look())
                self._away = None
            except redis.RedisError as error:
                await self._bear(error, is_first=False)
            else:
                self._tell(findings, known)

    async def _until_cause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(None if math.isinf(seconds) else seconds):
                await self._look_now.wait()
        except TimeoutError:
            return

    async def _bear(self, error: redis.RedisError, *, is_first: bool) -> None:
        """Pause after an error that may pass; whoever need not bear it is told."""
        if is_first or not passes(error):
            self._fail(error)
        else:
            self._away = (self._away[0] if self._away else self._now(), error)
            # Their patience is another now.
            for waiter in self._waiters:
                waiter.changed.set()
        await asyncio.sleep(PAUSE_SECONDS)

    def _tell(self, findings: Findings, known: frozenset[_Waiter]) -> None:
        """Pass on what a look found to those who waited before it began.

        Who came meanwhile may have sent a job anew, of which the look tells nothing.
        """
        for job_id in findings.looked_at:
            for waiter in self._by_job.get(job_id, set()) & known:
                if job_id in waiter.not_looked_at:
                    waiter.not_looked_at.discard(job_id)
                    # Its patience may be another now.
                    waiter.changed.set()
        ended = findings.results.keys() | findings.gone
        for job_id in ended:
            for waiter in self._by_job.get(job_id, set()) & known:
                waiter.left.discard(job_id)
                if job_id in findings.results:
                    waiter.found.append((job_id, findings.results[job_id]))
                else:
                    waiter.gone.add(job_id)
                waiter.changed.set()
                self._forget(job_id, waiter)
        self._watch.add(job_id for job_id in ended if job_id in self._by_job)

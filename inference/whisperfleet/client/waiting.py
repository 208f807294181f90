"""To wait for jobs on one thread, as long as there is hope and time."""

import math
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Protocol, TypeVar

import redis

from whisperfleet.client.watch import Watch
from whisperfleet.contract.result import Result
from whisperfleet.errors import ResultGoneError
from whisperfleet.queue.faults import passes
from whisperfleet.queue.requests import Conversation

__all__ = ["OUTAGE_SECONDS", "PAUSE_SECONDS", "Run", "check_timeout", "late", "wait"]

# A server that restarts is back before that; a wait without an end must not hide that it is gone.
OUTAGE_SECONDS = 30.0
PAUSE_SECONDS = 0.25

_T = TypeVar("_T")


def check_timeout(seconds: float | None) -> float:
    """Return how long to wait at most, in seconds. Raises ValueError for what is no number."""
    if seconds is not None and math.isnan(seconds):
        raise ValueError("the time to wait is no number; leave it out to wait without an end")
    return math.inf if seconds is None else seconds


def late(left: Collection[str], timeout_seconds: float | None) -> TimeoutError:
    """Return what to raise where jobs are left when the time is up."""
    return TimeoutError(
        f"{len(left)} jobs have not ended after {timeout_seconds} s, {min(left)} among them; "
        "they go on, wait again or look at their status"
    )


class _Patience:
    """How long a wait goes on, and how long while Redis does not answer."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds
        self._away_since: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self.end

    def renew(self) -> None:
        """Redis has answered."""
        self._away_since = None

    def bear(self, error: redis.RedisError) -> None:
        """Pause after an error that may pass; raise it where it does not, or the time is up."""
        now = time.monotonic()
        self._away_since = self._away_since or now
        end = self._away_since + OUTAGE_SECONDS if math.isinf(self.end) else self.end
        if not passes(error) or now >= end:
            raise error
        time.sleep(min(PAUSE_SECONDS, end - now))


class Run(Protocol):
    """Carries out a conversation and returns what it came to."""

    def __call__(self, conversation: Conversation[_T], /) -> _T:
        """Raise `redis.RedisError` as the conversation does."""


def wait(
    run: Run,
    watch: Watch,
    job_ids: Iterable[str],
    timeout_seconds: float | None,
    max_block_seconds: float,
) -> Iterator[tuple[str, Result]]:
    """Yield each job's id and result as it ends; see `Client.wait`. `watch` is this wait's own."""
    patience = _Patience(check_timeout(timeout_seconds))
    watch.add(job_ids)
    gone = set[str]()
    # What does not answer at first is not waited for.
    run(watch.follow(0))
    while watch.ids:
        found: Mapping[str, Result] = {}
        try:
            until = min(watch.next_look, patience.end) - time.monotonic()
            if watch.next_look <= time.monotonic():
                _, found, lost = run(watch.look())
                gone |= lost
            else:
                run(watch.follow(max(0.001, min(max_block_seconds, until))))
            patience.renew()
        except redis.RedisError as error:
            patience.bear(error)
            watch.lose_place()
        yield from found.items()
        if watch.ids and not watch.has_marked and patience.is_over:
            raise late(watch.ids, timeout_seconds)
    if gone:
        raise ResultGoneError(gone)

"""Results as a producer gets them: one by id, or many as they come in."""

import math
import time
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import redis
from pydantic import ValidationError

from whisperfleet.client.vanished import Vanished
from whisperfleet.contract.events import DoneEvent
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.result import Result, read_result
from whisperfleet.errors import ResultGoneError
from whisperfleet.queue.faults import passes

__all__ = ["ResultReader"]

_PAGE = 200
# Events may be trimmed before a slow reader sees them, so the results are looked at as well.
_LOOK_SECONDS = 30.0
# Where nothing is known of a job, or it has ended without a result and the entry that asks for it
# again is not settled yet.
_DOUBTFUL_SECONDS = 1.0
_MAX_REMEMBERED = 10_000
# A server that restarts is back before that; a wait without an end must not hide that it is gone.
_OUTAGE_SECONDS = 30.0
_PAUSE_SECONDS = 0.25


class _Patience:
    """How long a wait goes on, and how long while Redis does not answer."""

    def __init__(self, seconds: float | None) -> None:
        if seconds is not None and math.isnan(seconds):
            raise ValueError("the time to wait is no number; leave it out to wait without an end")
        self.end = time.monotonic() + seconds if seconds is not None else math.inf
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
        end = self._away_since + _OUTAGE_SECONDS if math.isinf(self.end) else self.end
        if not passes(error) or now >= end:
            raise error
        time.sleep(min(_PAUSE_SECONDS, end - now))


class ResultReader:
    """Reads the results of one queue, those of `tenant` alone unless it is None."""

    def __init__(
        self,
        client: redis.Redis,
        keys: Keys,
        tenant: str | None,
        stream_names: Collection[str],
        max_block_seconds: float,
    ) -> None:
        self._redis = client
        self._keys = keys
        self._tenant = tenant
        self._max_block_seconds = max_block_seconds
        self._stream_names = stream_names
        self._sent_as: OrderedDict[str, str] = OrderedDict()

    def remember(self, made_id: str, own_id: str) -> None:
        """Know that a submission under `own_id` would have `made_id`, were its id taken."""
        self._sent_as[made_id] = own_id
        if len(self._sent_as) > _MAX_REMEMBERED:
            self._sent_as.popitem(last=False)

    def result(self, job_id: str) -> Result | None:
        """Return how a job ended, or None where it has not, or its result has faded."""
        return dict(self._results([job_id])).get(job_id)

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
        patience = _Patience(timeout_seconds)
        waiting, gone = set(job_ids), set[str]()
        vanished = Vanished(self._redis, self._keys, self._tenant, self._stream_names)
        # The position comes before the look: what ends in between is seen twice, not never.
        position = self._last_event()
        next_look = 0.0
        while waiting:
            found: dict[str, Result] = {}
            try:
                if time.monotonic() >= next_look:
                    found = self._known_results(waiting)
                    lost, doubtful = vanished.among(self._made_ids(waiting - found.keys()))
                    gone |= lost
                    waiting -= lost
                    pause = _DOUBTFUL_SECONDS if doubtful else _LOOK_SECONDS
                    next_look = time.monotonic() + pause
                else:
                    until = min(next_look, patience.end)
                    position, found = self._next_results(position, waiting, until)
                patience.renew()
            except redis.RedisError as error:
                patience.bear(error)
                # A server that has just started may have lost events that its results outlived.
                next_look = 0.0
            for job_id, result in found.items():
                waiting.discard(job_id)
                yield job_id, result
            if waiting and not found and patience.is_over:
                raise TimeoutError(
                    f"{len(waiting)} jobs have not ended after {timeout_seconds} s, {min(waiting)} "
                    "among them; they go on, wait again or look at their status"
                )
        if gone:
            raise ResultGoneError(gone)

    def _made_ids(self, waiting: Collection[str]) -> dict[str, str]:
        """Return for each job the id that the queue made of its newest entry, as far as known."""
        sent_as = {own: made for made, own in list(self._sent_as.items()) if own in waiting}
        return {job_id: sent_as.get(job_id, job_id) for job_id in waiting}

    def _last_event(self) -> str:
        newest: Any = self._redis.xrevrange(self._keys.done, count=1)
        return newest[0][0].decode() if newest else "0-0"

    def _next_results(
        self, position: str, waiting: set[str], until: float
    ) -> tuple[str, dict[str, Result]]:
        """Return the position after the next events and the results that they announce."""
        seconds = max(0.001, min(self._max_block_seconds, until - time.monotonic()))
        reply: Any = self._redis.xread(
            {self._keys.done: position}, count=_PAGE, block=max(1, int(seconds * 1000))
        )
        announced: dict[str, str] = {}
        for _, entries in reply or ():
            for entry, fields in entries:
                position = entry.decode()
                event_id, asked_for = self._read_event(fields)
                if asked_for in waiting:
                    announced[event_id] = asked_for
        return position, {announced[made]: result for made, result in self._results(announced)}

    def _read_event(self, fields: Mapping[bytes, bytes]) -> tuple[str, str]:
        """Return the id of an ended job, and the id that this client knows it by."""
        try:
            event = DoneEvent.from_fields(fields)
        except (ValidationError, UnicodeDecodeError):
            return "", ""
        return event.id, self._sent_as.get(event.id, event.id)

    def _known_results(self, waiting: set[str]) -> dict[str, Result]:
        """Return the results that are there, by the ids that this client knows the jobs by."""
        found = dict(self._results(waiting))
        sent_as = {made: own for made, own in list(self._sent_as.items()) if own in waiting}
        return found | {sent_as[made]: result for made, result in self._results(sent_as)}

    def _results(self, job_ids: Iterable[str]) -> Iterator[tuple[str, Result]]:
        ids = list(job_ids)
        for start in range(0, len(ids), _PAGE):
            page = ids[start : start + _PAGE]
            documents: Any = self._redis.mget([self._keys.result(job_id) for job_id in page])
            for job_id, document in zip(page, documents, strict=True):
                if document is None:
                    continue
                result = read_result(job_id, document)
                if self._tenant in {None, result.tenant}:
                    yield job_id, result

"""Which jobs end, by the events of the `done` stream and by looks at their results."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import islice
from typing import NamedTuple

from pydantic import ValidationError

from whisperfleet.client.results import ResultReader
from whisperfleet.client.vanished import DOUBTFUL_SECONDS, Vanished
from whisperfleet.contract.events import DoneEvent
from whisperfleet.contract.result import Result
from whisperfleet.queue.requests import Conversation, ask

__all__ = ["Findings", "Watch"]

_PAGE = 200
# Events may be trimmed before a slow reader sees them, so the results are looked at as well.
_LOOK_SECONDS = 30.0
_MOST_AT_ONCE = 1000


class Findings(NamedTuple):
    """What a look at `looked_at` found; for `gone` nothing can come any more."""

    looked_at: frozenset[str]
    results: Mapping[str, Result]
    gone: frozenset[str]


class Watch:
    """Jobs that are waited for, and the place in the `done` stream from which events are read.

    `follow` reads events and marks the jobs that they are about; `look` looks at the results of
    marked jobs, and of all of them from time to time. Each may be under way once at a time, and
    both together. Jobs are marked when they are added, and after each gap: a place is taken before
    the look, so that what ends in between is seen twice, not never.
    """

    def __init__(
        self,
        results: ResultReader,
        vanished: Vanished,
        clock: Callable[[], float],
    ) -> None:
        self._results = results
        self._vanished = vanished
        self._clock = clock
        self._done = results.keys.done
        self._ids: set[str] = set()
        self._marked: set[str] = set()
        self._doubtful: set[str] = set()
        self._look_at_doubtful = math.inf
        self._look_at_all = math.inf
        self._place: str | None = None

    @property
    def ids(self) -> Collection[str]:
        """The jobs that are waited for."""
        return self._ids

    @property
    def has_place(self) -> bool:
        """Whether events are read from a known place on."""
        return self._place is not None

    @property
    def has_marked(self) -> bool:
        """Whether jobs are to be looked at without delay."""
        return bool(self._marked)

    @property
    def next_look(self) -> float:
        """When to look, by the clock; infinity where only an event can tell."""
        if self._marked:
            return -math.inf
        return min(self._look_at_all, self._look_at_doubtful)

    def add(self, job_ids: Iterable[str]) -> None:
        """Wait for these jobs too."""
        added = set(job_ids)
        self._ids |= added
        if self.has_place:
            self._marked |= added

    def discard(self, job_ids: Collection[str]) -> None:
        """Wait for these jobs no longer."""
        for marks in (self._ids, self._marked, self._doubtful):
            marks.difference_update(job_ids)
        self._vanished.forget(job_ids)

    def lose_place(self) -> None:
        """Begin anew after an error: a server that has just started may have lost events."""
        self._place = None

    def follow(self, seconds: float) -> Conversation[None]:
        """Take a place where there is none, else wait so long for the next events."""
        if self._place is None:
            newest = yield from ask("XREVRANGE", self._done, "+", "-", "COUNT", 1)
            self._place = newest[0][0].decode() if newest else "0-0"
            self._mark_all()
            return
        before = self._place
        block = max(1, int(seconds * 1000))
        reply = yield from ask(
            *("XREAD", "COUNT", _PAGE, "BLOCK", block, "STREAMS", self._done, before)
        )
        entries = [entry for _, found in reply or () for entry in found]
        for entry_id, fields in entries:
            self._place = entry_id.decode()
            self._mark(fields)
        # Who is behind by a page may be behind what was trimmed.
        if len(entries) == _PAGE and not (
            yield from ask("XREVRANGE", self._done, before, "-", "COUNT", 1)
        ):
            self._mark_all()

    def look(self) -> Conversation[Findings]:
        """Look at jobs whose time has come, and drop those that have ended or are gone."""
        now = self._clock()
        if now >= self._look_at_all:
            self._mark_all()
        if now >= self._look_at_doubtful:
            self._marked |= self._doubtful
            self._look_at_doubtful = math.inf
        chosen = frozenset(islice(self._marked, _MOST_AT_ONCE))
        self._marked -= chosen
        try:
            results = yield from self._results.known(chosen)
            vanished = yield from self._vanished.among(self._made_ids(chosen - results.keys()), now)
        except BaseException:
            self._marked |= chosen & self._ids
            raise
        self._doubtful = (self._doubtful - chosen) | (vanished.doubtful & self._ids)
        soon = self._clock() + DOUBTFUL_SECONDS
        self._look_at_doubtful = soon if self._doubtful else math.inf
        if vanished.are_more:
            self._look_at_all = min(self._look_at_all, soon)
        self.discard(results.keys() | vanished.gone)
        return Findings(chosen, results, vanished.gone)

    def _made_ids(self, job_ids: Collection[str]) -> dict[str, str]:
        """Return for each job the id that the queue made of its newest entry, as far as known."""
        made = {job_id: self._results.sent.made(job_id) for job_id in job_ids}
        return {job_id: ids[-1] if ids else job_id for job_id, ids in made.items()}

    def _mark_all(self) -> None:
        self._marked |= self._ids
        self._look_at_all = self._clock() + _LOOK_SECONDS

    def _mark(self, fields: Mapping[bytes, bytes]) -> None:
        try:
            event = DoneEvent.from_fields(fields)
        except (ValidationError, UnicodeDecodeError):
            return
        if (job_id := self._results.sent.own(event.id)) in self._ids:
            self._marked.add(job_id)

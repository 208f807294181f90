"""What a worker was able to do when it last tried: what decides whether it is ready and claims."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from whisperfleet.worker import metrics
from whisperfleet.worker.needs import Need

__all__ = ["Standing"]

_UNSEEN: Final = {
    Need.MACHINE: "the machine has not been tried",
    Need.CLAIM: "nothing has been claimed",
    Need.RENEW: "leases are not renewed: the lease process has said nothing",
    Need.PUBLISH: "it has not been tried whether results can be published",
}
# A worker that is full claims nothing for as long as its jobs take.
_AT_ITS_OWN_TIME: Final = frozenset({Need.CLAIM})


@dataclass(frozen=True, slots=True)
class _Sight:
    at: float
    trouble: str


class Standing:
    """How the last try of each need went. Safe to share between threads: a sight never changes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sights: dict[Need, _Sight] = {}

    def note(self, need: Need, trouble: str = "") -> None:
        """Keep how a try went: what is wrong and what to do, in a sentence, or nothing."""
        before = self._sights.get(need)
        self._sights[need] = _Sight(self._clock(), trouble)
        if before is None or bool(before.trouble) != bool(trouble):
            metrics.able.labels(need.value).set(not trouble)

    def trouble(self, need: Need) -> str:
        """Return what was wrong at the last try; nothing where it went well or there was none."""
        sight = self._sights.get(need)
        return sight.trouble if sight else ""

    def problem(self, patience_seconds: float) -> str | None:
        """Return what keeps the worker from being ready: a need that failed, or is not seen."""
        now = self._clock()
        for need in Need:
            sight = self._sights.get(need)
            if sight is None:
                return _UNSEEN[need]
            if sight.trouble:
                return sight.trouble
            if need not in _AT_ITS_OWN_TIME and (age := now - sight.at) > patience_seconds:
                return f"{_UNSEEN[need]} for {age:.0f} s; see the log"
        return None

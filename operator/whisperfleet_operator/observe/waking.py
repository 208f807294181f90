"""Whether KEDA asks for a pod when there is work.

Nothing else shows that the keda-operator is dead: what it last said of a ScaledObject stays.
"""

import time
from collections.abc import Callable
from typing import Any

from whisperfleet_operator.observe.observation import Observation, PoolView
from whisperfleet_operator.resource import TranscriptionService
from whisperfleet_operator.work_queue import Key

__all__ = ["WakingWatch"]

# KEDA asks the queue once in a polling interval, and for a new ScaledObject it needs a moment.
_INTERVALS = 5
_LEAST_SECONDS = 30.0


class WakingWatch:
    """Since when the work of each service has waited for a first pod; for any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[Key, float] = {}

    def is_overdue(
        self, service: TranscriptionService, seen: Observation, *, was_overdue: bool
    ) -> bool:
        """Whether KEDA should have asked for a pod long ago.

        `was_overdue` is what an operator before this one may have known.
        """
        key = (service.namespace, service.name)
        if service.spec.suspend or not _has_work(seen) or not all(map(_shall_wake, seen.pools)):
            self.forget(key)
            return False
        now = self._clock()
        limit = max(_LEAST_SECONDS, _INTERVALS * service.spec.scaling.polling_seconds)
        return was_overdue or now - self._since.setdefault(key, now) > limit

    def forget(self, key: Key) -> None:
        """Forget a service that is gone."""
        self._since.pop(key, None)


def _has_work(seen: Observation) -> bool:
    return seen.sample is not None and seen.sample.queued + seen.sample.running > 0


def _shall_wake(view: PoolView) -> bool:
    """Whether KEDA says of a pool without pods that it watches the queue."""
    if view.deployment is None or view.deployment["spec"].get("replicas"):
        return False
    return _condition(view, "Ready") == "True" and _condition(view, "Paused") != "True"


def _condition(view: PoolView, name: str) -> str | None:
    status = (view.scaled_object or {}).get("status", {})
    conditions: list[dict[str, Any]] = status.get("conditions", [])
    return next((each["status"] for each in conditions if each["type"] == name), None)

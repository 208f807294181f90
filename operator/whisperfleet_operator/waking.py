"""Where the autoscaler starts no pod although jobs wait, the operator starts one.

It asks for one pod of a pool that has none, and leaves the number to the autoscaler from then on.
It never asks for fewer pods or for a second one, and never where somebody wants the pool at zero.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from math import inf
from typing import NamedTuple

from whisperfleet_operator.cache import ObjectCache
from whisperfleet_operator.kube import (
    AlreadyExistsError,
    ForbiddenError,
    InvalidError,
    Kube,
    NotFoundError,
    Object,
)
from whisperfleet_operator.memory import PoolMemory, ServiceMemory
from whisperfleet_operator.observe import Observation, PoolView, Spell
from whisperfleet_operator.observe.pauses import pause_of
from whisperfleet_operator.resource import (
    ConditionStatus,
    Reason,
    TranscriptionService,
)
from whisperfleet_operator.resource.names import WAKING_MANAGER
from whisperfleet_operator.status.autoscaler import autoscaler_state

__all__ = ["Waker", "Wakes", "shall_wake"]

_log = logging.getLogger(__name__)

# Reasons that show that KEDA does not act. One that is too old does act, and may at once remove a
# pod that it did not ask for.
_ABSENT = frozenset({Reason.AUTOSCALER_SILENT, Reason.AUTOSCALER_FAILED, Reason.KEDA_MISSING})
_LONGEST_PAUSE_SECONDS = 3600.0


class Wakes(NamedTuple):
    """How often the operator has woken a pool since its queue was last empty, and how long ago."""

    times: int = 0
    ago_seconds: float = inf


def shall_wake(
    service: TranscriptionService, seen: Observation, view: PoolView, wakes: Wakes
) -> bool:
    """Whether the operator has to start a pod of the pool.

    Each time that one was removed again, it waits longer before the next.
    """
    spec = service.spec_of(view.pool)
    if spec.suspend or view.deployment is None or view.desired or not seen.jobs_of(view):
        return False
    if view.scaled_object is not None and pause_of(view.scaled_object) is not None:
        return False
    least = spec.scaling.wake_after_seconds
    pause = max(least, min(least * 2.0**wakes.times, _LONGEST_PAUSE_SECONDS))
    if min(view.spells.get(Spell.UNWOKEN, 0), wakes.ago_seconds) < pause:
        return False
    state = autoscaler_state(view, spec, seen, None)
    return state.status is ConditionStatus.FALSE and state.reason in _ABSENT


class Waker:
    """Wakes pools; for any thread."""

    def __init__(
        self, kube: Kube, cache: ObjectCache, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._kube = kube
        self._cache = cache
        self._clock = clock

    def wake(
        self,
        memory: ServiceMemory,
        service: TranscriptionService,
        seen: Observation,
        now: datetime,
    ) -> Observation:
        """Wake what has to be woken, and return what is there then. Raises KubeError."""
        views = []
        for view in seen.pools:
            pool = memory.pool(view.pool.name)
            if seen.sample is not None and not seen.jobs_of(view):
                pool.wakes, pool.woken_at = 0, -inf
            wakes = Wakes(pool.wakes, self._clock() - pool.woken_at)
            due = shall_wake(service, seen, view, wakes)
            views.append(self._wake(pool, service, view, now) if due else view)
        return replace(seen, pools=tuple(views))

    def _wake(
        self, memory: PoolMemory, service: TranscriptionService, view: PoolView, now: datetime
    ) -> PoolView:
        deployment: Object = view.deployment or {}
        try:
            self._kube.scale(deployment, 1, WAKING_MANAGER)
        except (AlreadyExistsError, NotFoundError):
            # Another writer, probably the autoscaler, was faster: the next reconcile will see it.
            self._cache.invalidate(deployment)
            return view
        except (ForbiddenError, InvalidError) as error:
            _log.warning(
                "%s/%s sleeps with work and may not be woken: %s",
                service.namespace,
                service.name,
                error,
            )
            return view
        memory.wakes, memory.woken_at = memory.wakes + 1, self._clock()
        spec = {**deployment["spec"], "replicas": 1}
        return replace(
            view, deployment={**deployment, "spec": spec}, woken=now.replace(microsecond=0)
        )

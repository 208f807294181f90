"""How long each observed state has lasted: nothing else tells a passing moment from a fault.

What KEDA last wrote into a ScaledObject's status stays there when the keda-operator is dead, and no
condition says that pods are needed and nobody asks for them.
"""

import math
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import replace

from whisperfleet_operator.memory import PoolMemory, ServiceMemory
from whisperfleet_operator.observe.autoscalers import AutoscalerReader, is_kedas
from whisperfleet_operator.observe.children import Children
from whisperfleet_operator.observe.conditions import condition_of
from whisperfleet_operator.observe.keda import Keda
from whisperfleet_operator.observe.observation import Observation, PoolView, Spell
from whisperfleet_operator.observe.pauses import keeps_awake, pause_of
from whisperfleet_operator.plan.autoscaling import wanted_pods
from whisperfleet_operator.resource import (
    Reason,
    TranscriptionService,
    TranscriptionServiceStatus,
)
from whisperfleet_operator.resource.names import child_name
from whisperfleet_operator.resource.patience import (
    CREATION_SECONDS,
    RECONCILE_SECONDS,
    growing_seconds,
    keda_seconds,
    sleeping_seconds,
)

__all__ = ["SpellWatch", "hpa_trouble", "keda_has_yet_to_notice", "seconds_left"]

# How old what is known of the autoscalers may be. Of a pool at zero none does anything.
_AWAKE_SECONDS = RECONCILE_SECONDS / 2
_ASLEEP_SECONDS = 2 * RECONCILE_SECONDS

# The spells that have lasted too long where a status gives this reason.
_BEHIND: Mapping[Reason | None, tuple[Spell, ...]] = {
    Reason.AUTOSCALER_SILENT: (Spell.UNWOKEN, Spell.UNNOTICED),
    Reason.AUTOSCALER_HOLDS_BACK: (Spell.TOO_FEW, Spell.HPA_TROUBLE),
    Reason.AUTOSCALER_KEEPS_AWAKE: (Spell.AWAKE,),
    Reason.AUTOSCALER_FAILED: (Spell.KEDA_TROUBLE,),
    Reason.WORKERS_NOT_READY: (Spell.UNMADE,),
}


class SpellWatch:
    """Completes what was seen of a service: its autoscalers, its failed pods, its spells.

    For any thread.
    """

    def __init__(
        self,
        autoscalers: AutoscalerReader,
        children: Children,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._autoscalers = autoscalers
        self._children = children
        self._clock = clock

    def complete(
        self,
        memory: ServiceMemory,
        service: TranscriptionService,
        seen: Observation,
        before: TranscriptionServiceStatus,
    ) -> Observation:
        """Return the observation with all that takes time to see.

        What `before` says is not forgotten because another operator begins.
        """
        told = frozenset() if memory.is_resumed else _told_by(before)
        # After another autoscaler was removed the status is to be right soon.
        is_contested = any(each.reason is Reason.AUTOSCALER_CONTESTED for each in before.conditions)
        views = []
        for view in seen.pools:
            name = child_name(service.name, view.pool.name)
            age = _AWAKE_SECONDS if view.desired or is_contested else _ASLEEP_SECONDS
            whole = replace(
                view,
                failed=self._children.failed_pods(service, view.pool.name),
                hpas=self._autoscalers.of_deployment(service.namespace, name, age),
            )
            pool = memory.pool(view.pool.name)
            views.append(replace(whole, spells=self._time(pool, service, whole, seen, told)))
        memory.is_resumed = True
        return replace(seen, pools=tuple(views))

    def _time(
        self,
        memory: PoolMemory,
        service: TranscriptionService,
        view: PoolView,
        seen: Observation,
        told: frozenset[Spell],
    ) -> dict[Spell, float]:
        now = self._clock()
        spells = {}
        for spell, value in _facts(service, view, seen):
            if value is None:
                memory.since.pop(spell, None)
                continue
            known = memory.since.get(spell)
            if known is None or known[0] != value:
                since = -math.inf if spell in told else now
                known = memory.since[spell] = (value, since)
            spells[spell] = now - known[1]
        return spells


def _told_by(before: TranscriptionServiceStatus) -> frozenset[Spell]:
    """Return the spells that had lasted for too long when the status was written."""
    reasons = {
        *(each.reason for each in before.conditions),
        *(each.reason for each in before.pools),
    }
    return frozenset(spell for reason in reasons for spell in _BEHIND.get(reason, ()))


def seconds_left(service: TranscriptionService, seen: Observation) -> float:
    """Return in how many seconds the next spell has lasted for too long; infinity for none."""
    left = math.inf
    for view in seen.pools:
        spec = service.spec_of(view.pool)
        limits = {
            Spell.UNWOKEN: (keda_seconds(spec), spec.scaling.wake_after_seconds),
            Spell.TOO_FEW: (growing_seconds(spec, view.pool),),
            Spell.AWAKE: (sleeping_seconds(spec), keda_seconds(spec)),
            Spell.UNMADE: (CREATION_SECONDS,),
            Spell.UNNOTICED: (keda_seconds(spec),),
            Spell.KEDA_TROUBLE: (keda_seconds(spec),),
            Spell.HPA_TROUBLE: (growing_seconds(spec, view.pool),),
        }
        for spell, seconds in view.spells.items():
            left = min([left, *(limit - seconds for limit in limits[spell] if limit > seconds)])
    return left


def keda_has_yet_to_notice(view: PoolView, *, suspended: bool) -> bool:
    """Whether KEDA has said nothing of the ScaledObject yet, or nothing of its pause's end."""
    if view.scaled_object is None:
        return True
    if suspended or pause_of(view.scaled_object) is not None:
        return False
    if condition_of(view.scaled_object, "Paused").get("status") == "True":
        return True
    ready = condition_of(view.scaled_object, "Ready")
    return ready.get("status") not in ("True", "False") and not ready.get("reason")


def hpa_trouble(view: PoolView) -> tuple[str, str] | None:
    """Return why the HorizontalPodAutoscaler does not scale: a reason and a sentence.

    By its own word, or where it cannot be read by KEDA's (from 2.20.2 on), which may be old.
    """
    if view.hpas is not None:
        active = next(
            (
                condition_of(hpa, "ScalingActive")
                for hpa in view.hpas
                if is_kedas(hpa, view.scaled_object)
            ),
            {},
        )
    else:
        active = condition_of(view.scaled_object, "HPAActive")
    if active.get("status") != "False" or active.get("reason") == "ScalingDisabled":
        return None
    return active.get("reason") or "HPAMetricsUnavailable", active.get("message", "")


def _facts(
    service: TranscriptionService, view: PoolView, seen: Observation
) -> Iterator[tuple[Spell, Hashable]]:
    """Yield what is so, as a value that changes where it begins anew; None where it is not so."""
    spec = service.spec_of(view.pool)
    jobs, desired = seen.jobs_of(view), view.desired
    is_wanted = jobs > 0 and not spec.suspend
    yield Spell.UNWOKEN, (is_wanted and desired == 0) or None
    wanted = wanted_pods(spec, view.pool, jobs, desired)
    yield Spell.TOO_FEW, desired if is_wanted and 0 < desired < wanted else None
    yield Spell.AWAKE, (desired > 0 and _is_needless(service, view, seen)) or None
    yield Spell.UNMADE, len(view.pods) + 1 if len(view.pods) < desired else None
    waits_for_keda = seen.keda is Keda.READY and seen.sample is not None
    yield (
        Spell.UNNOTICED,
        (waits_for_keda and keda_has_yet_to_notice(view, suspended=spec.suspend)) or None,
    )
    ready = condition_of(view.scaled_object, "Ready")
    is_trouble = ready.get("status") in ("False", "Unknown") and bool(ready.get("reason"))
    yield Spell.KEDA_TROUBLE, is_trouble or None
    trouble = hpa_trouble(view)
    yield Spell.HPA_TROUBLE, trouble[0] if trouble is not None and desired else None


def _is_needless(service: TranscriptionService, view: PoolView, seen: Observation) -> bool:
    if service.spec.suspend:
        return True
    if view.pool.replicas.min or view.scaled_object is None or keeps_awake(view.scaled_object):
        return False
    return seen.sample is not None and seen.jobs_of(view) == 0

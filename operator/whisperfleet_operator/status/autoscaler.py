"""What the autoscaler makes of a pool, in the words of the status: which direction fails, and who.

By KEDA's own word where it has one, then by the HorizontalPodAutoscaler's, else by what is seen.
"""

from datetime import datetime

from whisperfleet_operator.observe import Observation, PoolView, Spell
from whisperfleet_operator.observe.autoscalers import is_kedas
from whisperfleet_operator.observe.conditions import condition_of
from whisperfleet_operator.observe.keda import OLDEST_KEDA, Keda
from whisperfleet_operator.observe.pauses import pause_of
from whisperfleet_operator.observe.spells import hpa_trouble, keda_has_yet_to_notice
from whisperfleet_operator.plan.autoscaling import wanted_pods
from whisperfleet_operator.resource import ConditionStatus, Reason, TranscriptionServiceSpec
from whisperfleet_operator.resource.patience import (
    growing_seconds,
    keda_seconds,
    sleeping_seconds,
)
from whisperfleet_operator.status.condition_state import ConditionState

__all__ = ["DIRECTIONS", "autoscaler_state", "keda_state"]

TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN

# What a pool waits for where its autoscaler fails in one direction.
DIRECTIONS = frozenset(
    {
        Reason.AUTOSCALER_SILENT,
        Reason.AUTOSCALER_HOLDS_BACK,
        Reason.AUTOSCALER_KEEPS_AWAKE,
        Reason.AUTOSCALER_CONTESTED,
    }
)

# A trigger that failed once may do so no more at the next poll.
_PASSING = frozenset({"TriggerError", "PartialTriggerError"})
_CHECK_KEDA = (
    "check that the keda-operator runs, and what its log says (kubectl get pods -A -l "
    "app.kubernetes.io/name=keda-operator)"
)
_CHECK_METRICS = (
    "check KEDA's metrics server (kubectl get apiservice v1beta1.external.metrics.k8s.io, and "
    "kubectl get pods -A -l app.kubernetes.io/name=keda-operator-metrics-apiserver)"
)
_ALL_WELL = ConditionState(TRUE, Reason.AS_EXPECTED, "KEDA watches the queue")


def keda_state(keda: Keda) -> ConditionState | None:
    """Return what is wrong with KEDA as a whole."""
    if keda is Keda.MISSING:
        return ConditionState(
            FALSE,
            Reason.KEDA_MISSING,
            f"KEDA is not installed, so nothing wakes the fleet: install KEDA {OLDEST_KEDA} or "
            "later",
        )
    if keda is Keda.UNKNOWN:
        return ConditionState(
            UNKNOWN,
            Reason.AUTOSCALER_PENDING,
            "it is not certain yet whether KEDA is there: the API server has yet to say so",
        )
    if keda is Keda.TOO_OLD:
        return ConditionState(
            FALSE,
            Reason.KEDA_TOO_OLD,
            f"the installed KEDA is older than {OLDEST_KEDA} and would not wake the fleet for one "
            f"job: upgrade KEDA to {OLDEST_KEDA} or later",
        )
    return None


def autoscaler_state(
    view: PoolView, spec: TranscriptionServiceSpec, seen: Observation, woken: datetime | None
) -> ConditionState:
    """Return whether a pool wakes, grows and sleeps by itself.

    `woken` is when the operator last did what the autoscaler should have done.
    """
    return (
        keda_state(seen.keda)
        or _pause_state(view, spec)
        or _notice_state(view, spec)
        or _rivals_state(view)
        or _ready_state(view, spec)
        # Before what the operator itself had to do, which is over where there is no work any more.
        or _sleeping_state(view, spec)
        or _waking_state(view, spec, woken)
        or _growing_state(view, spec, seen)
        or _ALL_WELL
    )


def _pause_state(view: PoolView, spec: TranscriptionServiceSpec) -> ConditionState | None:
    if view.scaled_object is None:
        return None
    if spec.suspend:
        if view.spells.get(Spell.AWAKE, 0) > keda_seconds(spec):
            return ConditionState(
                FALSE,
                Reason.AUTOSCALER_KEEPS_AWAKE,
                f"spec.suspend is set, and {view.desired} pods are still asked for after "
                f"{keda_seconds(spec):g} s: {_CHECK_KEDA}",
            )
        if condition_of(view.scaled_object, "Paused").get("status") == "True":
            return ConditionState(
                TRUE, Reason.SUSPENDED, "KEDA holds the pool at zero, as it was told"
            )
        return None
    if (pause := pause_of(view.scaled_object)) is not None:
        return ConditionState(
            FALSE,
            Reason.AUTOSCALER_PAUSED,
            f"the ScaledObject {_name(view)} is paused by the annotation {pause}: remove it",
        )
    return None


def _notice_state(view: PoolView, spec: TranscriptionServiceSpec) -> ConditionState | None:
    """Say what KEDA has yet to notice: for a while that is no news."""
    if not keda_has_yet_to_notice(view, suspended=spec.suspend):
        return None
    if view.scaled_object is None:
        what = "the ScaledObject is made once the queue is there"
    elif condition_of(view.scaled_object, "Paused").get("status") == "True":
        what = f"the ScaledObject {_name(view)} is paused no more, which KEDA has yet to notice"
    else:
        what = f"KEDA has not looked at the ScaledObject {_name(view)} yet"
    if view.spells.get(Spell.UNNOTICED, 0) > keda_seconds(spec):
        message = f"{what}, after {keda_seconds(spec):g} s: {_CHECK_KEDA}"
        return ConditionState(FALSE, Reason.AUTOSCALER_SILENT, message)
    return ConditionState(UNKNOWN, Reason.AUTOSCALER_PENDING, what)


def _rivals_state(view: PoolView) -> ConditionState | None:
    rivals = sorted(
        str(hpa["metadata"]["name"])
        for hpa in view.hpas or ()
        if not is_kedas(hpa, view.scaled_object)
    )
    if not rivals:
        return None
    return ConditionState(
        FALSE,
        Reason.AUTOSCALER_CONTESTED,
        f"the HorizontalPodAutoscaler {', '.join(rivals)} scales the Deployment {_name(view)} "
        "beside KEDA's, and of two neither works: delete it (kubectl delete hpa "
        f"{' '.join(rivals)})",
    )


def _ready_state(view: PoolView, spec: TranscriptionServiceSpec) -> ConditionState | None:
    """Say what KEDA says: that it cannot scale, or that it does so without knowing how much."""
    ready, fallback = (condition_of(view.scaled_object, name) for name in ("Ready", "Fallback"))
    see = f"see kubectl describe scaledobject {_name(view)}"
    if ready.get("status") != "True":
        passes = ready.get("reason") in _PASSING
        if passes and view.spells.get(Spell.KEDA_TROUBLE, 0) <= keda_seconds(spec):
            return None
        cause = (
            " (KEDA cannot read the queue, though the operator can: look at the network policies "
            "of KEDA's namespace and at its log)"
            if passes
            else ""
        )
        return ConditionState(
            FALSE,
            Reason.AUTOSCALER_FAILED,
            f"KEDA cannot scale by the ScaledObject {_name(view)}: {ready.get('message', '')}"
            f"{cause}; {see}",
        )
    if fallback.get("status") == "True":
        return ConditionState(
            FALSE,
            Reason.AUTOSCALER_FAILED,
            f"KEDA cannot read the queue and falls back to the number of pods that somebody set in "
            f"the ScaledObject {_name(view)}: {_health(view)}; {see}",
        )
    return None


def _health(view: PoolView) -> str:
    """Return which of KEDA's triggers fail, as it counts them."""
    health = (view.scaled_object or {}).get("status", {}).get("health") or {}
    failing = [
        f"{name} has failed {state.get('numberOfFailures')} times in a row"
        for name, state in sorted(health.items())
        if state.get("status") == "Failing"
    ]
    return ", ".join(failing) or "at least one trigger fails"


def _waking_state(
    view: PoolView, spec: TranscriptionServiceSpec, woken: datetime | None
) -> ConditionState | None:
    """0 to 1: nothing else shows that the keda-operator is dead."""
    if view.spells.get(Spell.UNWOKEN, 0) > keda_seconds(spec):
        return ConditionState(
            FALSE,
            Reason.AUTOSCALER_SILENT,
            "there is work, and KEDA, which once said that it watches the queue, has asked for no "
            f"pod in several polling intervals: {_CHECK_KEDA}",
        )
    if woken is not None and view.desired and not _was_heard(view, woken):
        return ConditionState(
            FALSE,
            Reason.AUTOSCALER_SILENT,
            f"there was work, KEDA asked for no pod, and has said nothing since: {_CHECK_KEDA}",
        )
    return None


def _was_heard(view: PoolView, since: datetime) -> bool:
    """Whether KEDA has looked at a pool's work since then: it writes down when."""
    at = (view.scaled_object or {}).get("status", {}).get("lastActiveTime")
    return at is not None and datetime.fromisoformat(at) > since


def _growing_state(
    view: PoolView, spec: TranscriptionServiceSpec, seen: Observation
) -> ConditionState | None:
    """1 to N: by the HorizontalPodAutoscaler's word, or because more pods are wanted."""
    limit = growing_seconds(spec, view.pool)
    trouble = hpa_trouble(view)
    is_too_small = view.spells.get(Spell.TOO_FEW, 0) > limit
    # Who knows the cause is quoted, however late its word came.
    if trouble is not None and (is_too_small or view.spells.get(Spell.HPA_TROUBLE, 0) > limit):
        reason, message = trouble
        remedy = _CHECK_METRICS if "Metric" in reason else "see kubectl describe hpa"
        return ConditionState(
            FALSE,
            Reason.AUTOSCALER_HOLDS_BACK,
            f"the HorizontalPodAutoscaler of the Deployment {_name(view)} neither adds nor removes "
            f"pods beyond the first: {reason}: {message}; {remedy}",
        )
    if is_too_small:
        wanted = wanted_pods(spec, view.pool, seen.jobs_of(view), view.desired)
        return ConditionState(
            FALSE,
            Reason.AUTOSCALER_HOLDS_BACK,
            f"the jobs in the queue want {wanted} pods, and the autoscaler, which asks for "
            f"{view.desired}, has added none for longer than {limit:g} s: see kubectl describe "
            f"hpa,scaledobject, and {_CHECK_METRICS}",
        )
    return None


def _sleeping_state(view: PoolView, spec: TranscriptionServiceSpec) -> ConditionState | None:
    """N to 0: pods, and most often GPUs, that nobody needs."""
    if view.spells.get(Spell.AWAKE, 0) <= sleeping_seconds(spec):
        return None
    return ConditionState(
        FALSE,
        Reason.AUTOSCALER_KEEPS_AWAKE,
        f"the queue has been empty for longer than spec.scaling.cooldownSeconds "
        f"({spec.scaling.cooldown_seconds} s), and KEDA does not put the {view.desired} pods to "
        f"sleep: {_CHECK_KEDA}",
    )


def _name(view: PoolView) -> str:
    """Return the name of the pool's ScaledObject, which is that of its Deployment."""
    there = view.scaled_object or view.deployment or {}
    return str(there.get("metadata", {}).get("name", view.pool.name))

"""What KEDA makes of the service, in the words of the status."""

from typing import Any

from whisperfleet_operator.kube import Object
from whisperfleet_operator.observe import Observation
from whisperfleet_operator.observe.keda import OLDEST_KEDA, Keda
from whisperfleet_operator.resource import ConditionStatus, Reason
from whisperfleet_operator.status.judgement import Judgement

__all__ = ["judge_autoscaler"]

TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN

_PAUSED_REPLICAS = "autoscaling.keda.sh/paused-replicas"
# The others hold a truth value, and for KEDA whatever is not false is true.
_PAUSES = (
    "autoscaling.keda.sh/paused",
    "autoscaling.keda.sh/paused-scale-out",
    "autoscaling.keda.sh/paused-scale-in",
)
_FALSEHOODS = frozenset({"0", "f", "F", "FALSE", "False", "false"})


_SILENT = Judgement(
    FALSE,
    Reason.AUTOSCALER_SILENT,
    "there is work, and KEDA, which once said that it watches the queue, has asked for no pod in "
    "several polling intervals: check that the keda-operator runs, and what its log says "
    "(kubectl get pods -A -l app.kubernetes.io/name=keda-operator)",
)


def judge_autoscaler(seen: Observation, *, suspended: bool) -> Judgement:
    """Return whether the pools wake and sleep by themselves."""
    if seen.keda is Keda.MISSING:
        return Judgement(
            FALSE,
            Reason.KEDA_MISSING,
            f"KEDA is not installed, so nothing wakes the fleet: install KEDA {OLDEST_KEDA} or "
            "later",
        )
    if seen.keda is Keda.UNKNOWN:
        return Judgement(
            UNKNOWN,
            Reason.AUTOSCALER_PENDING,
            "it is not certain yet whether KEDA is there: the API server has yet to say so",
        )
    if seen.keda is Keda.TOO_OLD:
        return Judgement(
            FALSE,
            Reason.KEDA_TOO_OLD,
            f"the installed KEDA is older than {OLDEST_KEDA} and would not wake the fleet for one "
            f"job: upgrade KEDA to {OLDEST_KEDA} or later",
        )
    judgements = [_judge(view.scaled_object, suspended=suspended) for view in seen.pools]
    worst = next((each for each in judgements if each.status is not TRUE), judgements[0])
    return _SILENT if seen.overdue and worst.status is TRUE else worst


def _judge(scaled_object: Object | None, *, suspended: bool) -> Judgement:
    if scaled_object is None:
        return Judgement(
            UNKNOWN, Reason.AUTOSCALER_PENDING, "the ScaledObject is made once the queue is there"
        )
    name = scaled_object["metadata"]["name"]
    ready = _condition(scaled_object, "Ready")
    if (paused := _paused(scaled_object, suspended=suspended)) is not None:
        return paused
    if ready.get("status") == "True":
        return Judgement(TRUE, Reason.AS_EXPECTED, "KEDA watches the queue")
    if ready.get("status") == "False":
        return Judgement(
            FALSE,
            Reason.AUTOSCALER_FAILED,
            f"KEDA cannot scale by the ScaledObject {name}: {ready.get('message', '')}; see "
            f"kubectl describe scaledobject {name}",
        )
    return Judgement(
        UNKNOWN,
        Reason.AUTOSCALER_PENDING,
        f"KEDA has not looked at the ScaledObject {name} yet; if it stays so, check that the "
        "keda-operator runs",
    )


def _paused(scaled_object: Object, *, suspended: bool) -> Judgement | None:
    """Return what there is to say of a ScaledObject that is held, or was until a moment ago."""
    name = scaled_object["metadata"]["name"]
    told_paused = _condition(scaled_object, "Paused").get("status") == "True"
    if suspended and told_paused:
        return Judgement(TRUE, Reason.SUSPENDED, "KEDA holds the pool at zero, as it was told")
    pause = _pause(scaled_object)
    if pause is not None and not suspended:
        return Judgement(
            FALSE,
            Reason.AUTOSCALER_PAUSED,
            f"the ScaledObject {name} is paused by the annotation {pause}: remove it",
        )
    if told_paused:
        # The condition says what was, and the annotation what shall be.
        return Judgement(
            UNKNOWN,
            Reason.AUTOSCALER_PENDING,
            f"the ScaledObject {name} is paused no more, which KEDA has yet to notice; if it stays "
            "so, check that the keda-operator runs",
        )
    return None


def _pause(scaled_object: Object) -> str | None:
    """Return the annotation that keeps KEDA from waking the pool or from letting it sleep."""
    annotations = scaled_object["metadata"].get("annotations", {})
    if _PAUSED_REPLICAS in annotations:
        return _PAUSED_REPLICAS
    return next(
        (name for name in _PAUSES if annotations.get(name, "false") not in _FALSEHOODS), None
    )


def _condition(scaled_object: Object, name: str) -> dict[str, Any]:
    conditions: list[dict[str, Any]] = scaled_object.get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == name), {})

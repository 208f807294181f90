"""What KEDA makes of the service, in the words of the status."""

from typing import Any

from whisperfleet_operator.kube import Object
from whisperfleet_operator.observe import Observation
from whisperfleet_operator.observe.keda import OLDEST_KEDA, Keda
from whisperfleet_operator.resource import ConditionStatus, Reason
from whisperfleet_operator.status.judgement import Judgement

__all__ = ["judge_autoscaler"]

TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN


def judge_autoscaler(seen: Observation, *, suspended: bool) -> Judgement:
    """Return whether the pools wake and sleep by themselves."""
    if seen.keda is Keda.MISSING:
        return Judgement(
            FALSE,
            Reason.KEDA_MISSING,
            f"KEDA is not installed, so nothing wakes the fleet: install KEDA {OLDEST_KEDA} or "
            "later",
        )
    if seen.keda is Keda.TOO_OLD:
        return Judgement(
            FALSE,
            Reason.KEDA_TOO_OLD,
            f"the installed KEDA is older than {OLDEST_KEDA} and would not wake the fleet for one "
            f"job: upgrade KEDA to {OLDEST_KEDA} or later",
        )
    judgements = [_judge(view.scaled_object, suspended=suspended) for view in seen.pools]
    return next((each for each in judgements if each.status is not TRUE), judgements[0])


def _judge(scaled_object: Object | None, *, suspended: bool) -> Judgement:
    if scaled_object is None:
        return Judgement(
            UNKNOWN, Reason.AUTOSCALER_PENDING, "the ScaledObject is made once the queue is there"
        )
    name = scaled_object["metadata"]["name"]
    ready = _condition(scaled_object, "Ready")
    if _condition(scaled_object, "Paused").get("status") == "True":
        if suspended:
            return Judgement(TRUE, Reason.SUSPENDED, "KEDA holds the pool at zero, as it was told")
        return Judgement(
            FALSE,
            Reason.AUTOSCALER_PAUSED,
            f"the ScaledObject {name} is paused by an annotation autoscaling.keda.sh/paused: "
            "remove it",
        )
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


def _condition(scaled_object: Object, name: str) -> dict[str, Any]:
    conditions: list[dict[str, Any]] = scaled_object.get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == name), {})

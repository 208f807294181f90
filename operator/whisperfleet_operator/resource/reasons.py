"""What each reason means, how long it may last, and what follows. The page is made from this.

What passes by itself has a deadline, and what follows says what a person can do. The rest has none:
it is how the fleet shall be, what somebody has asked for, or wrong until somebody mends it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from whisperfleet_operator.resource.conditions import Reason

__all__ = ["REASONS", "About", "Kind"]


class Kind(StrEnum):
    """How a reason ends."""

    RESTS = "at rest"
    WANTED = "until somebody wants it otherwise"
    PASSES = "passes"
    WRONG = "until it is mended"


@dataclass(frozen=True, slots=True)
class About:
    """A reason in words. `deadline` and `follows` are of what passes."""

    kind: Kind
    means: str
    deadline: str = ""
    follows: tuple[Reason, ...] = ()


def _rests(means: str, deadline: str = "", *follows: Reason) -> About:
    return About(Kind.RESTS, means, deadline, follows)


def _wanted(means: str, deadline: str = "", *follows: Reason) -> About:
    return About(Kind.WANTED, means, deadline, follows)


def _passes(means: str, deadline: str, *follows: Reason) -> About:
    return About(Kind.PASSES, means, deadline, follows)


def _wrong(means: str) -> About:
    return About(Kind.WRONG, means)


_KEDA_TIME: Final = "3 intervals: of `scaling.pollingSeconds`, or of 10 s where that is longer"

REASONS: Final[Mapping[Reason, About]] = {
    Reason.PENDING: _passes(
        "Nobody has looked yet, or Redis has not answered yet.",
        "some 8 s, the time-outs of a connection",
        Reason.QUEUE_UNREACHABLE,
    ),
    Reason.AS_EXPECTED: _rests("Nothing is wrong."),
    Reason.IDLE: _rests(
        "No work: scaled to zero, or to `replicas.min`.",
        "pods above `replicas.min` = 0: `scaling.cooldownSeconds` and 3 intervals of KEDA",
        Reason.AUTOSCALER_KEEPS_AWAKE,
    ),
    Reason.SERVING: _rests(
        "The pods work.",
        "too few pods for the backlog: 3 intervals, of `scaling.pollingSeconds` or of the 15 s of "
        "a HorizontalPodAutoscaler, and what `behavior.scaleUp` adds",
        Reason.AUTOSCALER_HOLDS_BACK,
    ),
    Reason.SCALING_UP: _passes(
        "Pods are on their way.",
        f"no pod is asked for: {_KEDA_TIME}; pods are asked for and not made: 60 s",
        Reason.AUTOSCALER_SILENT,
        Reason.WORKERS_NOT_READY,
    ),
    Reason.AT_MAX_REPLICAS: _rests(
        "All pods that `replicas.max` allows work, and jobs wait.",
    ),
    Reason.SUSPENDED: _wanted(
        "`spec.suspend` is set.",
        f"pods are still asked for: {_KEDA_TIME}",
        Reason.AUTOSCALER_KEEPS_AWAKE,
    ),
    Reason.RECONCILE_DISABLED: _wanted("An annotation takes the operator's hands off the service."),
    Reason.NO_GPU_AVAILABLE: _wrong("No node has the GPU that a pod needs."),
    Reason.UNSCHEDULABLE: _wrong("No node takes a pod, or nobody has looked for one."),
    Reason.IMAGE_PULL: _wrong("A pod's image cannot be pulled."),
    Reason.MODEL_LOADING: _passes(
        "A pod's container runs and loads the model.",
        "`scaling.startupSeconds` since it started",
        Reason.WORKERS_NOT_READY,
        Reason.WORKERS_CRASHING,
    ),
    Reason.POD_STARTING: _passes(
        "A pod is on its way to a node, or on it and not started yet.",
        "`scaling.startupSeconds` since it was made, and again since it has its node",
        Reason.WORKERS_NOT_READY,
        Reason.UNSCHEDULABLE,
    ),
    Reason.QUOTA_EXCEEDED: _wrong("A ResourceQuota forbids a pod or another object."),
    Reason.POD_REFUSED: _wrong("The API server refuses the pods."),
    Reason.WORKERS_CRASHING: _wrong("A container ends again and again."),
    Reason.WORKERS_NOT_READY: _wrong("A pod does not get ready, or is not made."),
    Reason.PODS_FAILING: _wrong(
        "Three pods in a row have ended: refused by the kubelet, evicted, or shut down with their "
        "node."
    ),
    Reason.ROLLOUT_PAUSED: _wanted("Somebody paused the Deployment: no change reaches a pod."),
    Reason.ROLLOUT_STUCK: _wrong(
        "A change of the pods has made no progress for as long as one drain and one start take."
    ),
    Reason.QUEUE_UNREACHABLE: _wrong("Redis does not answer."),
    Reason.QUEUE_REFUSED: _wrong("Redis answers, and refuses."),
    Reason.QUEUE_OWNED_BY_ANOTHER: _wrong("The queue is another service's."),
    Reason.QUEUE_NOT_DURABLE: _wrong("Redis may forget jobs that it has accepted."),
    Reason.TENANT_REMOVED: _rests(
        "A tenant was taken out of `queue.tenants`; its streams still hold jobs, and are served."
    ),
    Reason.SECRET_MISSING: _wrong("A Secret, or a key in it, is missing."),
    Reason.KEDA_MISSING: _wrong("KEDA is not installed."),
    Reason.KEDA_TOO_OLD: _wrong("KEDA is older than 2.17."),
    Reason.AUTOSCALER_PENDING: _passes(
        "The ScaledObject is not made yet, or KEDA has yet to notice it, or its pause.",
        _KEDA_TIME,
        Reason.AUTOSCALER_SILENT,
    ),
    Reason.AUTOSCALER_FAILED: _wrong("KEDA says that it cannot scale."),
    Reason.AUTOSCALER_PAUSED: _wanted("Somebody paused the ScaledObject."),
    Reason.AUTOSCALER_SILENT: _wrong("0 to 1: work waits, and KEDA asks for no pod."),
    Reason.AUTOSCALER_HOLDS_BACK: _wrong("1 to N: fewer pods are asked for than the work wants."),
    Reason.AUTOSCALER_KEEPS_AWAKE: _wrong("N to 0: KEDA does not put the pods to sleep."),
    Reason.AUTOSCALER_CONTESTED: _wrong(
        "Another HorizontalPodAutoscaler scales the same Deployment, and so neither does."
    ),
    Reason.NAME_TAKEN: _wrong("An object that the service needs has the name of another's."),
    Reason.PREDECESSOR_LEAVING: _passes(
        "An object of a deleted service of this name is not gone yet; Ready is Unknown.",
        "10 s; then Ready is False, for the same reason",
        Reason.PREDECESSOR_LEAVING,
    ),
    Reason.INVALID_SPEC: _wrong("This operator cannot read the spec."),
    Reason.APPLY_REFUSED: _wrong("The API server refuses an object."),
    Reason.CHANGED_BY_ANOTHER: _rests("Somebody else writes what the operator writes."),
    Reason.API_SERVER_ERROR: _wrong("The API server has failed for longer than 10 s."),
}

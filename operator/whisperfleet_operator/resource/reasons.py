"""What each reason means, how long it may last, what follows, and which alert tells of it.

What passes by itself has a deadline, and what follows says what a person can do. The rest has none:
it is how the fleet shall be, what somebody has asked for, or wrong until somebody mends it. The
page is made from this; the chart's rules and docs/operate.md are held to it by tests.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from whisperfleet_operator.resource.conditions import Reason

__all__ = ["BLOCKING", "REASONS", "About", "Alert", "Kind", "Severity"]


class Kind(StrEnum):
    """How a reason ends."""

    RESTS = "at rest"
    WANTED = "until somebody wants it otherwise"
    PASSES = "passes"
    WRONG = "until it is mended"


class Severity(StrEnum):
    """What the label `severity` of an alert says."""

    CRITICAL = "critical"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Alert:
    """What tells the people on call of a reason: a rule of the chart, a section of the runbook."""

    name: str
    severity: Severity


_BLOCKED: Final = Alert("WhisperfleetWorkersBlocked", Severity.WARNING)
_CRASHING: Final = Alert("WhisperfleetWorkersCrashing", Severity.CRITICAL)
_QUEUE: Final = Alert("WhisperfleetQueueUnreachable", Severity.CRITICAL)
_NOT_DURABLE: Final = Alert("WhisperfleetQueueNotDurable", Severity.WARNING)
_NO_AUTOSCALER: Final = Alert("WhisperfleetAutoscalerFailed", Severity.CRITICAL)
_NOT_WOKEN: Final = Alert("WhisperfleetFleetNotWoken", Severity.CRITICAL)
_HELD_BACK: Final = Alert("WhisperfleetFleetHeldBack", Severity.CRITICAL)
_KEPT_AWAKE: Final = Alert("WhisperfleetFleetKeptAwake", Severity.WARNING)
_NOT_CARRIED_OUT: Final = Alert("WhisperfleetSpecNotCarriedOut", Severity.WARNING)


@dataclass(frozen=True, slots=True)
class About:
    """A reason in words. `deadline` and `follows` are of what passes.

    What `blocks` keeps pods from work until somebody does something. Raises ValueError where that,
    or what is wrong, has no `alert`: nobody would be told.
    """

    kind: Kind
    means: str
    deadline: str = ""
    follows: tuple[Reason, ...] = ()
    alert: Alert | None = None
    blocks: bool = False

    def __post_init__(self) -> None:
        if self.alert is None and (self.blocks or self.kind is Kind.WRONG):
            raise ValueError(f"nobody is told that {self.means!r}: give the reason an alert")


def _rests(means: str, deadline: str = "", *follows: Reason) -> About:
    return About(Kind.RESTS, means, deadline, follows)


def _wanted(means: str, deadline: str = "", *follows: Reason, alert: Alert | None = None) -> About:
    return About(Kind.WANTED, means, deadline, follows, alert)


def _passes(means: str, deadline: str, *follows: Reason, alert: Alert | None = None) -> About:
    return About(Kind.PASSES, means, deadline, follows, alert)


def _wrong(means: str, alert: Alert) -> About:
    return About(Kind.WRONG, means, alert=alert)


def _blocks(means: str, alert: Alert = _BLOCKED, kind: Kind = Kind.WRONG) -> About:
    return About(kind, means, alert=alert, blocks=True)


_KEDA_TIME: Final = "3 intervals: of `scaling.pollingSeconds`, or of 10 s where that is longer"

REASONS: Final[Mapping[Reason, About]] = {
    Reason.PENDING: _passes(
        "The service has not been reconciled yet, or Redis has not answered yet.",
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
        "The pods are working.",
        "too few pods for the backlog: 3 intervals, of `scaling.pollingSeconds` or of the 15 s of "
        "a HorizontalPodAutoscaler, and what `behavior.scaleUp` adds",
        Reason.AUTOSCALER_HOLDS_BACK,
    ),
    Reason.SCALING_UP: _passes(
        "Pods are being started.",
        f"no pod is asked for: {_KEDA_TIME}; pods are asked for and not made: 60 s",
        Reason.AUTOSCALER_SILENT,
        Reason.WORKERS_NOT_READY,
    ),
    Reason.AT_MAX_REPLICAS: _rests(
        "All the pods that `replicas.max` allows are working, and jobs wait.",
    ),
    Reason.SUSPENDED: _wanted(
        "`spec.suspend` is set.",
        f"pods are still asked for: {_KEDA_TIME}",
        Reason.AUTOSCALER_KEEPS_AWAKE,
    ),
    Reason.RECONCILE_DISABLED: _wanted(
        "An annotation keeps the operator from changing the service."
    ),
    Reason.MODEL_LOADING: _passes(
        "A pod's container runs and loads the model.",
        "`scaling.startupSeconds` since it started",
        Reason.WORKERS_NOT_READY,
        Reason.WORKERS_CRASHING,
    ),
    Reason.POD_STARTING: _passes(
        "A pod is being scheduled, or is on its node and not started yet.",
        "`scaling.startupSeconds` since it was made, and again since it has its node",
        Reason.WORKERS_NOT_READY,
        Reason.UNSCHEDULABLE,
    ),
    Reason.WORKERS_CRASHING: _blocks("A container ends repeatedly.", _CRASHING),
    Reason.PODS_FAILING: _blocks(
        "Three pods in a row have ended: refused by the kubelet, evicted, or shut down with their "
        "node."
    ),
    Reason.IMAGE_PULL: _blocks("A pod's image cannot be pulled."),
    Reason.SECRET_MISSING: _blocks("A Secret, or a key in it, is missing."),
    Reason.QUOTA_EXCEEDED: _blocks("A ResourceQuota forbids a pod or another object."),
    Reason.POD_REFUSED: _blocks("The API server refuses the pods."),
    Reason.NO_GPU_AVAILABLE: _blocks("No node has the GPU that a pod needs."),
    Reason.UNSCHEDULABLE: _blocks("No node takes a pod, or no scheduler has handled it."),
    Reason.WORKERS_NOT_READY: _blocks("A pod does not become ready, or is not created."),
    Reason.ROLLOUT_STUCK: _blocks(
        "A change of the pods has made no progress for as long as one drain and one start take."
    ),
    Reason.ROLLOUT_PAUSED: _blocks(
        "Somebody paused the Deployment: no change reaches a pod.", kind=Kind.WANTED
    ),
    Reason.QUEUE_UNREACHABLE: _wrong("Redis does not answer.", _QUEUE),
    Reason.QUEUE_REFUSED: _wrong("Redis answers and refuses.", _QUEUE),
    Reason.QUEUE_OWNED_BY_ANOTHER: _wrong("The queue belongs to another service.", _QUEUE),
    Reason.QUEUE_NOT_DURABLE: _wrong("Redis may forget jobs that it has accepted.", _NOT_DURABLE),
    Reason.TENANT_REMOVED: _rests(
        "A tenant was taken out of `queue.tenants`; its streams still hold jobs, and are served."
    ),
    Reason.KEDA_MISSING: _wrong("KEDA is not installed.", _NO_AUTOSCALER),
    Reason.KEDA_TOO_OLD: _wrong("KEDA is older than 2.17.", _NO_AUTOSCALER),
    Reason.AUTOSCALER_PENDING: _passes(
        "The ScaledObject is not created yet, or KEDA has not noticed it, or its pause, yet.",
        _KEDA_TIME,
        Reason.AUTOSCALER_SILENT,
    ),
    Reason.AUTOSCALER_FAILED: _wrong("KEDA says that it cannot scale.", _NO_AUTOSCALER),
    Reason.AUTOSCALER_PAUSED: _wanted("Somebody paused the ScaledObject.", alert=_NO_AUTOSCALER),
    Reason.AUTOSCALER_SILENT: _wrong("0 to 1: jobs wait, and KEDA asks for no pod.", _NOT_WOKEN),
    Reason.AUTOSCALER_HOLDS_BACK: _wrong(
        "1 to N: fewer pods are asked for than the jobs need.", _HELD_BACK
    ),
    Reason.AUTOSCALER_KEEPS_AWAKE: _wrong("N to 0: KEDA does not scale to zero.", _KEPT_AWAKE),
    Reason.AUTOSCALER_CONTESTED: _wrong(
        "Another HorizontalPodAutoscaler scales the same Deployment, and so neither works.",
        _HELD_BACK,
    ),
    Reason.NAME_TAKEN: _wrong(
        "An object that the service needs has a name that is taken.", _NOT_CARRIED_OUT
    ),
    Reason.PREDECESSOR_LEAVING: _passes(
        "An object of a deleted service of this name is not gone yet; Ready is Unknown.",
        "10 s; then Ready is False, for the same reason",
        Reason.PREDECESSOR_LEAVING,
        alert=_NOT_CARRIED_OUT,
    ),
    Reason.INVALID_SPEC: _wrong("This operator cannot read the spec.", _NOT_CARRIED_OUT),
    Reason.APPLY_REFUSED: _wrong("The API server refuses an object.", _NOT_CARRIED_OUT),
    Reason.CHANGED_BY_ANOTHER: _rests("Another writer changes what the operator writes."),
    Reason.API_SERVER_ERROR: _wrong(
        "The API server has failed for longer than 10 s.", _NOT_CARRIED_OUT
    ),
}

# What keeps pods from work and does not pass by itself, the worst first.
BLOCKING: Final = tuple(reason for reason, about in REASONS.items() if about.blocks)

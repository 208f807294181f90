"""The words of a status: the types of conditions, their values and their reasons.

What each reason means, and how long it may last, is in `reasons`.
"""

from enum import StrEnum

__all__ = ["ConditionStatus", "ConditionType", "Reason"]


class ConditionStatus(StrEnum):
    """What a condition says; Unknown from first sight until there is something to say."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class ConditionType(StrEnum):
    """The aspects of a service. All but Degraded are good when True."""

    READY = "Ready"
    QUEUE_REACHABLE = "QueueReachable"
    QUEUE_DURABLE = "QueueDurable"
    AUTOSCALER_READY = "AutoscalerReady"
    WORKERS_AVAILABLE = "WorkersAvailable"
    DEGRADED = "Degraded"


class Reason(StrEnum):
    """Why a condition is what it is, in one CamelCase word.

    A word that another version of the operator wrote is read as it is, though no member.
    """

    # Nothing is known yet, or nothing is wrong.
    PENDING = "Pending"
    AS_EXPECTED = "AsExpected"

    # What the fleet does.
    IDLE = "Idle"
    SERVING = "Serving"
    SCALING_UP = "ScalingUp"
    AT_MAX_REPLICAS = "AtMaxReplicas"
    SUSPENDED = "Suspended"
    RECONCILE_DISABLED = "ReconcileDisabled"

    # Why work waits for workers: what passes, then what does not, the worst first.
    MODEL_LOADING = "ModelLoading"
    POD_STARTING = "PodStarting"
    WORKERS_CRASHING = "WorkersCrashing"
    PODS_FAILING = "PodsFailing"
    IMAGE_PULL = "ImagePull"
    SECRET_MISSING = "SecretMissing"  # noqa: S105 - a reason, not a secret
    QUOTA_EXCEEDED = "QuotaExceeded"
    POD_REFUSED = "PodRefused"
    NO_GPU_AVAILABLE = "NoGPUAvailable"
    UNSCHEDULABLE = "Unschedulable"
    WORKERS_NOT_READY = "WorkersNotReady"
    ROLLOUT_STUCK = "RolloutStuck"
    ROLLOUT_PAUSED = "RolloutPaused"

    # The queue.
    QUEUE_UNREACHABLE = "QueueUnreachable"
    QUEUE_REFUSED = "QueueRefused"
    QUEUE_OWNED_BY_ANOTHER = "QueueOwnedByAnother"
    QUEUE_NOT_DURABLE = "QueueNotDurable"
    TENANT_REMOVED = "TenantRemoved"

    # What the service needs from others.
    KEDA_MISSING = "KedaMissing"
    KEDA_TOO_OLD = "KedaTooOld"
    AUTOSCALER_PENDING = "AutoscalerPending"
    AUTOSCALER_FAILED = "AutoscalerFailed"
    AUTOSCALER_PAUSED = "AutoscalerPaused"
    AUTOSCALER_SILENT = "AutoscalerSilent"
    AUTOSCALER_HOLDS_BACK = "AutoscalerHoldsBack"
    AUTOSCALER_KEEPS_AWAKE = "AutoscalerKeepsAwake"
    AUTOSCALER_CONTESTED = "AutoscalerContested"
    NAME_TAKEN = "NameTaken"
    PREDECESSOR_LEAVING = "PredecessorLeaving"
    INVALID_SPEC = "InvalidSpec"
    APPLY_REFUSED = "ApplyRefused"
    CHANGED_BY_ANOTHER = "ChangedByAnother"
    API_SERVER_ERROR = "APIServerError"

    @classmethod
    def _missing_(cls, value: object) -> "Reason | None":
        if not isinstance(value, str):
            return None
        word = str.__new__(cls, value)
        word._name_ = word._value_ = value
        return word

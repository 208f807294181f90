"""How long a passing state may last before it counts as a fault, in seconds.

An interval is the longest time between two checks of the part that is waited for: KEDA's polling,
the horizontal autoscaler's sync, or the operator's reconcile. Three missed ones are no accident.
"""

from typing import Final

from whisperfleet_operator.resource.pools import Pool, ScalingRules
from whisperfleet_operator.resource.spec import TranscriptionServiceSpec

__all__ = [
    "CREATION_SECONDS",
    "FORGIVEN_SECONDS",
    "RECONCILE_SECONDS",
    "forgiven_seconds",
    "growing_seconds",
    "keda_seconds",
    "sleeping_seconds",
]

# How often the operator reconciles a service when nothing happens.
RECONCILE_SECONDS: Final = 10.0
# What the controllers need to make pods that are asked for.
CREATION_SECONDS: Final = 60.0
# What has run for so long is not related to earlier failures, as the kubelet sees it too.
FORGIVEN_SECONDS: Final = 600.0

_INTERVALS: Final = 3
# How often a HorizontalPodAutoscaler acts, unless its controller was told otherwise.
_HPA_SECONDS: Final = 15.0


def keda_seconds(spec: TranscriptionServiceSpec) -> float:
    """Return how long KEDA may take to notice something."""
    return _INTERVALS * max(spec.scaling.polling_seconds, RECONCILE_SECONDS)


def growing_seconds(spec: TranscriptionServiceSpec, pool: Pool) -> float:
    """Return how long the autoscaler may take to ask for one more pod."""
    intervals = _INTERVALS * max(spec.scaling.polling_seconds, _HPA_SECONDS)
    return intervals + _held_back_seconds(pool.behavior.scale_up if pool.behavior else None)


def sleeping_seconds(spec: TranscriptionServiceSpec) -> float:
    """Return how long after its last job a pool may be awake."""
    return spec.scaling.cooldown_seconds + keda_seconds(spec)


def forgiven_seconds(spec: TranscriptionServiceSpec) -> float:
    """Return after how long what ended before says nothing of what there is now."""
    return max(spec.scaling.startup_seconds, FORGIVEN_SECONDS)


def _held_back_seconds(rules: ScalingRules | None) -> float:
    """Return what the pool's own rules add: a window, and the longest period of a limit."""
    if rules is None:
        return 0.0
    if rules.select_policy == "Disabled":
        return float("inf")
    periods = (policy.period_seconds for policy in rules.policies)
    return (rules.stabilization_window_seconds or 0) + max(periods, default=0)

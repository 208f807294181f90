"""Who keeps KEDA from its work: a person, by an annotation of the ScaledObject."""

from typing import Final

from whisperfleet_operator.kube import Object

__all__ = ["keeps_awake", "pause_of"]

_PAUSED_REPLICAS: Final = "autoscaling.keda.sh/paused-replicas"
# The others hold a truth value, and for KEDA whatever is not false is true.
_PAUSES: Final = (
    "autoscaling.keda.sh/paused",
    "autoscaling.keda.sh/paused-scale-out",
    "autoscaling.keda.sh/paused-scale-in",
)
_FORCE: Final = "autoscaling.keda.sh/force-activation"
_FALSEHOODS: Final = frozenset({"0", "f", "F", "FALSE", "False", "false"})


def pause_of(scaled_object: Object) -> str | None:
    """Return the annotation that keeps KEDA from waking the pool or from letting it sleep."""
    annotations = scaled_object["metadata"].get("annotations", {})
    if _PAUSED_REPLICAS in annotations:
        return _PAUSED_REPLICAS
    return next((name for name in _PAUSES if _is_true(annotations.get(name))), None)


def keeps_awake(scaled_object: Object) -> bool:
    """Whether somebody wants pods without work."""
    return _is_true(scaled_object["metadata"].get("annotations", {}).get(_FORCE))


def _is_true(value: str | None) -> bool:
    return value is not None and value not in _FALSEHOODS

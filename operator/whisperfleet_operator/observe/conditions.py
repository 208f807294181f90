"""Conditions of other people's objects."""

from typing import Any

from whisperfleet_operator.kube import Object

__all__ = ["condition_of"]


def condition_of(obj: Object | None, name: str) -> dict[str, Any]:
    """Return a condition of an object; an empty one where it has none of this type."""
    conditions: list[dict[str, Any]] = (obj or {}).get("status", {}).get("conditions") or []
    return next((each for each in conditions if each["type"] == name), {})

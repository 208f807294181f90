"""What a pod's template names and the kubelet does not find: which field names it, what to make."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from whisperfleet_operator.observe import Problem
from whisperfleet_operator.resource import Reason
from whisperfleet_operator.resource.pools import Pool

__all__ = ["missing_reference"]

_KINDS = {"secret": "Secret", "configmap": "ConfigMap"}
_REFERENCES = {"Secret": "secretKeyRef", "ConfigMap": "configMapKeyRef"}
_OBJECT = re.compile(r'(?i)\b(secret|configmap)s? "([^"]+)" not found')
_KEY = re.compile(r"couldn't find key (\S+) in (Secret|ConfigMap) [^/\s]+/(\S+)")


def missing_reference(pod: str, pool: Pool, message: str) -> Problem | None:
    """Return what to make or correct; None where the kubelet's message is about something else."""
    if found := _OBJECT.search(message):
        kind, name, key = _KINDS[found[1].lower()], found[2], None
        what = f"the {kind} {name} does not exist"
    elif found := _KEY.search(message):
        key, kind, name = found[1], found[2], found[3].rstrip(".,")
        what = f"the {kind} {name} has no key {key}"
    else:
        return None
    make = f"add the key {key}" if key else "create it"
    fields = " and ".join(_fields(pool, kind, name, key)) or "the field that names it"
    return Problem(
        Reason.SECRET_MISSING if kind == "Secret" else Reason.WORKERS_NOT_READY,
        f"the pod {pod} cannot be started: {what}: {make}, or correct {fields} ({message})",
    )


def _fields(pool: Pool, kind: str, name: str, key: str | None) -> Iterator[str]:
    for entry in pool.template.env:
        source: Any = (entry.value_from or {}).get(_REFERENCES[kind])
        if (
            isinstance(source, Mapping)
            and source.get("name") == name
            and key in (None, source.get("key"))
        ):
            yield f"the variable {entry.name} in template.env of the pool {pool.name}"

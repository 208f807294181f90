"""Whether a live object still is what the plan asks for; fields that others added do not count.

Two things can differ: what is wanted (a digest of it is on the object since it was last applied, so
that a field which is no longer wanted counts too), and what is there (a hand edit of a field that
is wanted).
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from whisperfleet_operator.kube import Object

__all__ = ["APPLIED_ANNOTATION", "difference", "differs", "digest", "stamped"]

APPLIED_ANNOTATION = "whisperfleet.io/applied"

# Lists that the API server merges item by item, and the field that tells the items apart.
_ITEM_KEYS = {
    "containers": "name",
    "env": "name",
    "initContainers": "name",
    "ownerReferences": "uid",
    "ports": "containerPort",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
_QUANTITIES = frozenset({"limits", "requests"})
_QUANTITY = frozenset({"divisor", "sizeLimit"})


def stamped(manifest: Object) -> Object:
    """Return the manifest with its own digest among its annotations."""
    metadata = manifest["metadata"]
    annotations = {**metadata.get("annotations", {}), APPLIED_ANNOTATION: digest(manifest)}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def differs(live: Object, wanted: Object) -> bool:
    """Whether applying `wanted`, which is stamped, would change `live`."""
    return any(True for _ in _differences(live, wanted, "", ""))


def difference(live: Object, wanted: Object) -> str | None:
    """Return the first field of `wanted` that `live` has otherwise; its stamp only if no other."""
    found = list(_differences(live, wanted, "", ""))
    return next((path for path in found if APPLIED_ANNOTATION not in path), next(iter(found), None))


def digest(obj: Any) -> str:
    """Return a short text that is the same for the same JSON."""
    text = json.dumps(obj, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _differences(live: Any, wanted: Any, field: str, path: str) -> Iterator[str]:
    """Yield the paths of what `live` does not have as `wanted` says. `field` is the path's end."""
    if isinstance(wanted, Mapping):
        yield from _in_mapping(live, wanted, field, path)
    elif isinstance(wanted, list | tuple):
        yield from _in_list(live, wanted, field, path)
    elif not _is_same(live, wanted, field):
        yield path


def _is_same(live: Any, wanted: Any, field: str) -> bool:
    if live is None:
        # Where it is a field's default anyway, the API server forgets false, 0 and "".
        return not wanted
    if field in _QUANTITY:
        return _same_amount(live, wanted)
    return bool(live == wanted)


def _in_mapping(live: Any, wanted: Mapping[str, Any], field: str, path: str) -> Iterator[str]:
    if not isinstance(live, Mapping):
        if live is not None or wanted:
            yield path
        return
    for name, value in wanted.items():
        below = f"{path}.{name}" if path else name
        if field not in _QUANTITIES:
            yield from _differences(live.get(name), value, name, below)
        elif not _same_amount(live.get(name), value):
            yield below


def _in_list(live: Any, wanted: Sequence[Any], field: str, path: str) -> Iterator[str]:
    if not isinstance(live, list):
        if live is not None or wanted:
            yield path
        return
    key = _ITEM_KEYS.get(field)
    if key and all(isinstance(item, Mapping) and key in item for item in (*live, *wanted)):
        by_key = {item[key]: item for item in live}
        for item in wanted:
            yield from _differences(by_key.get(item[key]), item, "", f"{path}[{item[key]}]")
    elif len(live) != len(wanted):
        yield path
    else:
        for index, (is_there, item) in enumerate(zip(live, wanted, strict=True)):
            yield from _differences(is_there, item, "", f"{path}[{index}]")


def _same_amount(live: Any, wanted: Any) -> bool:
    """Whether two quantities are the same amount: the API server writes 1024Mi as 1Gi."""
    if live is None:
        return False
    try:
        return _amount(live) == _amount(wanted)
    except ValueError:
        # Not an amount at all: the API server will say so.
        return False


def _amount(quantity: Any) -> Decimal:
    amount: Decimal = parse_quantity(str(quantity))
    return amount

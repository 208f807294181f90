"""Whether a live object still is what the plan asks for; what others added to it is theirs.

Two things can differ: what is wanted (a digest of it is on the object since it was last applied, so
that a field which is no longer wanted counts too), and what is there (a hand edit of a field that
is wanted).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from kubernetes.utils.quantity import parse_quantity

from whisperfleet_operator.kube import Object

__all__ = ["APPLIED_ANNOTATION", "differs", "stamped"]

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
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    metadata = manifest["metadata"]
    annotations = {**metadata.get("annotations", {}), APPLIED_ANNOTATION: digest}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def differs(live: Object, wanted: Object) -> bool:
    """Whether applying `wanted`, which is stamped, would change `live`."""
    return not _covers(live, wanted, "")


def _covers(live: Any, wanted: Any, field: str) -> bool:
    if isinstance(wanted, Mapping):
        return _covers_mapping(live, wanted, field)
    if isinstance(wanted, list | tuple):
        return _covers_list(live, wanted, field)
    if live is None:
        # Where it is a field's default anyway, the API server forgets false, 0 and "".
        return not wanted
    if field in _QUANTITY:
        return _same_amount(live, wanted)
    return bool(live == wanted)


def _covers_mapping(live: Any, wanted: Mapping[str, Any], field: str) -> bool:
    if not isinstance(live, Mapping):
        return live is None and not wanted
    if field in _QUANTITIES:
        return all(_same_amount(live.get(name), amount) for name, amount in wanted.items())
    return all(_covers(live.get(name), value, name) for name, value in wanted.items())


def _covers_list(live: Any, wanted: Sequence[Any], field: str) -> bool:
    if not isinstance(live, list):
        return live is None and not wanted
    key = _ITEM_KEYS.get(field)
    if key and all(isinstance(item, Mapping) and key in item for item in (*live, *wanted)):
        by_key = {item[key]: item for item in live}
        return all(_covers(by_key.get(item[key]), item, "") for item in wanted)
    return len(live) == len(wanted) and all(
        _covers(is_there, item, "") for is_there, item in zip(live, wanted, strict=True)
    )


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
    amount: Decimal = parse_quantity(str(quantity))  # type: ignore[no-untyped-call]
    return amount

"""`FakeKube`: the interface's test double, an API server in a dictionary.

It does what the operator relies on: names are unique, versions grow, a status has its own door, a
server-side apply merges by owner and leaves what others own, owners take their children with them.
What it does not know (schemas, defaults, admission) a test adds with `refuse`.
"""

import copy
import itertools
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from whisperfleet_operator.kube.errors import (
    AlreadyExistsError,
    InvalidError,
    KubeError,
    NotFoundError,
)
from whisperfleet_operator.kube.interface import Object
from whisperfleet_operator.kube.kinds import Kind, kind_of

__all__ = ["FakeKube"]

_Key = tuple[Kind, str | None, str]
# Lists that the API merges by a key rather than as a whole, where the operator meets them.
_MERGE_KEYS = {"containers": "name", "env": "name", "ports": "containerPort"}


class FakeKube:
    """`Kube` without a server. `writes` is every change that was asked for, as (verb, kind, name).

    `watcher`, if set, is called with ("ADDED" | "MODIFIED" | "DELETED", object) after each change,
    `webhook` with each object that is created or applied, to change it on its way in.
    """

    def __init__(self) -> None:
        self.writes: list[tuple[str, str, str]] = []
        self.documents: dict[str, Object] = {}
        self.watcher: Callable[[str, Object], None] = lambda _change, _obj: None
        self.webhook: Callable[[Object], None] = lambda _obj: None
        self._objects: dict[_Key, Object] = {}
        self._owned: dict[_Key, dict[str, Object]] = {}
        self._versions = itertools.count(1)
        self._refusals: list[tuple[str, str, KubeError]] = []
        self._lock = threading.RLock()

    def refuse(self, verb: str, kind: str, error: KubeError) -> None:
        """Answer every such call with `error` from now on."""
        self._refusals.append((verb, kind, error))

    def allow_all(self) -> None:
        """Forget every refusal."""
        self._refusals.clear()

    def get(self, kind: Kind, namespace: str | None, name: str) -> Object:
        """See `Kube.get`."""
        with self._lock:
            self._check("get", kind, name)
            return copy.deepcopy(self._find("get", kind, namespace, name))

    def list(self, kind: Kind, namespace: str | None, selector: str) -> list[Object]:
        """See `Kube.list`."""
        wanted = [pair.partition("=") for pair in selector.split(",") if pair]
        with self._lock:
            self._check("list", kind, "")
            return [
                copy.deepcopy(obj)
                for (a_kind, a_namespace, _), obj in self._objects.items()
                if a_kind == kind
                and namespace in (None, a_namespace)
                and all(_has_label(obj, key, value if eq else None) for key, eq, value in wanted)
            ]

    def create(self, obj: Object, manager: str) -> Object:
        """See `Kube.create`."""
        key = _key(obj)
        with self._lock:
            self._check("create", key[0], key[2], written=True)
            if key in self._objects:
                raise AlreadyExistsError("create", key[2], f'"{key[2]}" already exists')
            self._owned[key] = {manager: copy.deepcopy(obj)}
            made = copy.deepcopy(obj)
            self.webhook(made)
            return self._store(key, made)

    def apply(self, obj: Object, manager: str) -> Object:
        """See `Kube.apply`."""
        key = _key(obj)
        with self._lock:
            self._check("apply", key[0], key[2], written=True)
            live = copy.deepcopy(self._objects.get(key, {}))
            _check_preconditions(live, obj)
            obj = _without_preconditions(obj)
            owned = self._owned.setdefault(key, {})
            others = [fields for name, fields in owned.items() if name != manager]
            _drop(live, owned.get(manager, {}), obj, others)
            _merge(live, obj)
            owned[manager] = copy.deepcopy(obj)
            self.webhook(live)
            return self._store(key, live)

    def patch_status(self, kind: Kind, namespace: str, name: str, status: Object) -> Object:
        """See `Kube.patch_status`."""
        with self._lock:
            self._check("patch_status", kind, name, written=True)
            live = copy.deepcopy(self._find("patch_status", kind, namespace, name))
            _merge_patch(live.setdefault("status", {}), status)
            return self._store((kind, namespace, name), live)

    def scale(self, obj: Object, replicas: int, manager: str) -> None:
        """See `Kube.scale`."""
        del manager
        kind, namespace, name = key = _key(obj)
        with self._lock:
            self._check("scale", kind, name, written=True)
            live = copy.deepcopy(self._find("scale", kind, namespace, name))
            if live["metadata"]["resourceVersion"] != obj["metadata"]["resourceVersion"]:
                raise AlreadyExistsError("scale", name, "the object has been modified")
            live["spec"]["replicas"] = replicas
            self._store(key, live)

    def delete(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        """See `Kube.delete`."""
        with self._lock:
            self._check("delete", kind, name, written=True)
            obj = self._objects.get((kind, namespace, name))
            if obj is None:
                return
            if obj["metadata"]["uid"] != uid:
                raise AlreadyExistsError(
                    "delete", name, "the uid in the precondition does not match"
                )
            self._remove((kind, namespace, name))

    def read(self, path: str) -> Object:
        """See `Kube.read`: what a test put into `documents`."""
        with self._lock:
            if path not in self.documents:
                raise NotFoundError(
                    "read", path, "the server could not find the requested resource"
                )
            return copy.deepcopy(self.documents[path])

    def edit(self, kind: Kind, namespace: str, name: str, change: Callable[[Object], None]) -> None:
        """Change an object as somebody else would by hand; not counted among the `writes`."""
        with self._lock:
            live = copy.deepcopy(self._find("edit", kind, namespace, name))
            change(live)
            self._store((kind, namespace, name), live)

    def remove(self, kind: Kind, namespace: str, name: str) -> None:
        """Delete an object, and what it owns, as somebody else would by hand."""
        with self._lock:
            self._find("remove", kind, namespace, name)
            self._remove((kind, namespace, name))

    def _check(self, verb: str, kind: Kind, name: str, *, written: bool = False) -> None:
        for refused_verb, refused_kind, error in self._refusals:
            if (refused_verb, refused_kind) == (verb, kind.name):
                raise error
        if written:
            self.writes.append((verb, kind.name, name))

    def _find(self, verb: str, kind: Kind, namespace: str | None, name: str) -> Object:
        try:
            return self._objects[kind, namespace, name]
        except KeyError:
            raise NotFoundError(verb, name, f'{kind.plural} "{name}" not found') from None

    def _store(self, key: _Key, obj: Object) -> Object:
        before = self._objects.get(key)
        metadata = obj["metadata"]
        if before is None:
            number = next(self._versions)
            metadata |= {"uid": f"uid-{number}", "generation": 1}
            metadata["creationTimestamp"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        elif _without_version(before) == _without_version(obj):
            return copy.deepcopy(before)
        elif before.get("spec") != obj.get("spec"):
            metadata["generation"] = before["metadata"]["generation"] + 1
        metadata["resourceVersion"] = str(next(self._versions))
        self._objects[key] = obj
        self.watcher("ADDED" if before is None else "MODIFIED", copy.deepcopy(obj))
        return copy.deepcopy(obj)

    def _remove(self, key: _Key) -> None:
        gone = self._objects.pop(key)
        self._owned.pop(key, None)
        self.watcher("DELETED", copy.deepcopy(gone))
        uid = gone["metadata"]["uid"]
        for other, obj in list(self._objects.items()):
            owners = obj["metadata"].get("ownerReferences", ())
            if other in self._objects and any(owner["uid"] == uid for owner in owners):
                self._remove(other)


def _key(obj: Object) -> _Key:
    return kind_of(obj), obj["metadata"].get("namespace"), obj["metadata"]["name"]


def _check_preconditions(live: Object, wanted: Object) -> None:
    name, uid = wanted["metadata"]["name"], wanted["metadata"].get("uid")
    version = wanted["metadata"].get("resourceVersion")
    if uid is not None and not live:
        raise AlreadyExistsError("apply", name, "uid mismatch: no existing object was found")
    if uid is not None and live["metadata"]["uid"] != uid:
        raise InvalidError("apply", name, f"metadata.uid: Invalid value: {uid}: field is immutable")
    if version not in (None, live.get("metadata", {}).get("resourceVersion")):
        raise AlreadyExistsError("apply", name, "the object has been modified")


def _without_preconditions(wanted: Object) -> Object:
    kept = {k: v for k, v in wanted["metadata"].items() if k not in ("uid", "resourceVersion")}
    return {**wanted, "metadata": kept}


def _has_label(obj: Object, label: str, value: str | None) -> bool:
    labels = obj["metadata"].get("labels", {})
    return label in labels and value in (None, labels[label])


def _without_version(obj: Object) -> Object:
    metadata = {k: v for k, v in obj["metadata"].items() if k != "resourceVersion"}
    return {**obj, "metadata": metadata}


def _merge(live: Any, wanted: Mapping[str, Any]) -> None:
    """Lay `wanted` over `live`, lists with a merge key item by item."""
    for field, value in wanted.items():
        old = live.get(field)
        key = _MERGE_KEYS.get(field)
        if isinstance(value, Mapping) and isinstance(old, dict):
            _merge(old, value)
        elif key and isinstance(old, list):
            by_key = {item[key]: item for item in old}
            for item in value:
                _merge(by_key.setdefault(item[key], {}), item)
            live[field] = list(by_key.values())
        else:
            live[field] = copy.deepcopy(value)


def _drop(
    live: Any, before: Mapping[str, Any], wanted: Mapping[str, Any], others: list[Any]
) -> None:
    """Take out of `live` what was applied before, is not any more, and belongs to nobody else."""
    for field, value in before.items():
        owned_elsewhere = [other[field] for other in others if field in other]
        if field not in wanted and not owned_elsewhere:
            live.pop(field, None)
        elif isinstance(value, Mapping) and isinstance(wanted.get(field), Mapping):
            nested = [other for other in owned_elsewhere if isinstance(other, Mapping)]
            _drop(live.get(field, {}), value, wanted[field], nested)


def _merge_patch(live: Object, patch: Mapping[str, Any]) -> None:
    """RFC 7386."""
    for field, value in patch.items():
        if value is None:
            live.pop(field, None)
        elif isinstance(value, Mapping):
            nested = live.get(field)
            if not isinstance(nested, dict):
                nested = live[field] = {}
            _merge_patch(nested, value)
        else:
            live[field] = copy.deepcopy(value)

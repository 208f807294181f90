"""What the watches reported: the services, their children and their pods as last seen.

A cache may be behind or, after a watch broke, hold objects that no longer exist. So nothing is
created only because it is missing here: what is missing is read from the API server, and a resync
reads everything again.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable

from whisperfleet_operator.kube import Kind, Object, kind_of
from whisperfleet_operator.work_queue import Key

__all__ = ["ObjectCache"]

_Name = tuple[Kind, str, str]
# More than are deleted while a list is on its way.
_DELETIONS_KEPT = 4096


class ObjectCache:
    """Objects by kind, namespace and name, and by the service whose `label` they carry."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._objects: dict[_Name, Object] = {}
        self._of_service: dict[Key, set[_Name]] = {}
        # The version that each had at its end: an answer that was asked for before, and comes
        # after, must not bring it back.
        self._deleted: OrderedDict[_Name, int] = OrderedDict()
        self._lock = threading.Lock()

    def saw(self, obj: Object) -> None:
        """Take in an object, unless a newer version of it, or of its end, is known."""
        name = _name(obj)
        slim = _slim(obj)
        with self._lock:
            known = self._objects.get(name)
            if known is not None and _version(known) > _version(slim):
                return
            if self._deleted.get(name, -1) >= _version(slim):
                return
            self._forget(name)
            self._objects[name] = slim
            if key := self.service_of(obj):
                self._of_service.setdefault(key, set()).add(name)

    def saw_deleted(self, obj: Object) -> None:
        """Forget an object, unless another of the same name has come since."""
        name = _name(obj)
        with self._lock:
            known = self._objects.get(name)
            if known is not None and known["metadata"]["uid"] != obj["metadata"]["uid"]:
                return
            self._forget(name)
            self._deleted[name] = _version(obj)
            self._deleted.move_to_end(name)
            if len(self._deleted) > _DELETIONS_KEPT:
                self._deleted.popitem(last=False)

    def invalidate(self, obj: Object) -> None:
        """Forget an object that may be another by now, so that it is read anew."""
        with self._lock:
            self._forget(_name(obj))

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """Return the object as last seen; do not change it."""
        with self._lock:
            return self._objects.get((kind, namespace, name))

    def of_service(self, key: Key, kinds: Iterable[Kind]) -> list[Object]:
        """Return the objects of these kinds with the label of the service `key`."""
        wanted = frozenset(kinds)
        with self._lock:
            names = self._of_service.get(key, ())
            return [self._objects[name] for name in names if name[0] in wanted]

    def forget_service(self, key: Key, kinds: Iterable[Kind]) -> None:
        """Forget these kinds of the service's objects, so that they are read anew."""
        wanted = frozenset(kinds)
        with self._lock:
            for name in list(self._of_service.get(key, ())):
                if name[0] in wanted:
                    self._forget(name)

    def service_of(self, obj: Object) -> Key | None:
        """Return the service that the object's label names."""
        service = obj["metadata"].get("labels", {}).get(self._label)
        return (obj["metadata"]["namespace"], service) if service else None

    def _forget(self, name: _Name) -> None:
        gone = self._objects.pop(name, None)
        if gone is None or (key := self.service_of(gone)) is None:
            return
        names = self._of_service[key]
        names.discard(name)
        if not names:
            del self._of_service[key]


def _name(obj: Object) -> _Name:
    return kind_of(obj), obj["metadata"]["namespace"], obj["metadata"]["name"]


def _slim(obj: Object) -> Object:
    """Leave out who owns which field: often half of an object, and nothing here asks for it."""
    metadata = {k: v for k, v in obj["metadata"].items() if k != "managedFields"}
    return {**obj, "metadata": metadata}


def _version(obj: Object) -> int:
    # Versions are numbers that grow over all objects of a kind: promised since Kubernetes 1.35
    # (KEP-5504), and so in every release before it.
    return int(obj["metadata"]["resourceVersion"])

"""A service's children as they live: from the cache, and where it has none, from the API server."""

from collections.abc import Iterable, Mapping

from whisperfleet_operator.cache import ObjectCache
from whisperfleet_operator.kube import Kube, NotFoundError, Object
from whisperfleet_operator.kube.kinds import CHILD_KINDS, POD, SCALED_OBJECT, Kind
from whisperfleet_operator.observe.observation import Problem
from whisperfleet_operator.plan import ChildRef
from whisperfleet_operator.resource import Reason, TranscriptionService
from whisperfleet_operator.resource.names import (
    API_VERSION,
    KIND,
    POOL_LABEL,
    children_selector,
)
from whisperfleet_operator.work_queue import Key

__all__ = ["Children", "LeavingError", "child_kind", "strangers"]

_KINDS = {(kind.api_version, kind.name): kind for kind in CHILD_KINDS}
_KEDAS = frozenset(kind.name for kind in CHILD_KINDS if kind.group == SCALED_OBJECT.group)


class LeavingError(Exception):
    """A child of an earlier service of this name is still being deleted; most are gone soon."""


def child_kind(ref: ChildRef) -> Kind:
    """Return the kind of a child."""
    return _KINDS[ref.api_version, ref.kind]


class Children:
    """Finds children; for any thread."""

    def __init__(self, kube: Kube, cache: ObjectCache) -> None:
        self._kube = kube
        self._cache = cache

    def refresh(self, key: Key, kinds: Iterable[Kind]) -> None:
        """Read these kinds of the service's objects anew."""
        namespace, name = key
        for kind in kinds:
            try:
                found = self._kube.list(kind, namespace, children_selector(name))
            except NotFoundError:
                # The kind itself does not exist: KEDA's, without KEDA.
                found = []
            self._cache.forget_service(key, [kind])
            for obj in found:
                self._cache.saw(obj)

    def find(self, namespace: str, wanted: Iterable[ChildRef]) -> dict[ChildRef, Object]:
        """Return the objects that have the names of these children, whoever owns them."""
        found = {}
        for ref in wanted:
            kind = child_kind(ref)
            obj = self._cache.get(kind, namespace, ref.name)
            if obj is None:
                try:
                    obj = self._kube.get(kind, namespace, ref.name)
                except NotFoundError:
                    continue
                # No watch would tell of the end of an object without our labels.
                if self._cache.service_of(obj) is not None:
                    self._cache.saw(obj)
            found[ref] = obj
        return found

    def owned(self, service: TranscriptionService) -> dict[ChildRef, Object]:
        """Return the children that the watches have told of."""
        objects = self._cache.of_service((service.namespace, service.name), CHILD_KINDS)
        return {ChildRef.of(obj): obj for obj in objects if _is_owned(obj, service)}

    def pods(self, service: TranscriptionService, pool: str) -> tuple[Object, ...]:
        """Return the pods of a pool by name, without those that are on their way out."""
        there = (
            pod
            for pod in self._pods(service, pool)
            if "deletionTimestamp" not in pod["metadata"]
            and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")
        )
        return tuple(sorted(there, key=lambda pod: str(pod["metadata"]["name"])))

    def failed_pods(self, service: TranscriptionService, pool: str) -> tuple[Object, ...]:
        """Return the pods of a pool that ended for good: nobody deletes them, but their number."""
        return tuple(
            pod
            for pod in self._pods(service, pool)
            if pod.get("status", {}).get("phase") == "Failed"
        )

    def _pods(self, service: TranscriptionService, pool: str) -> list[Object]:
        pods = self._cache.of_service((service.namespace, service.name), [POD])
        return [pod for pod in pods if pod["metadata"]["labels"].get(POOL_LABEL) == pool]


def strangers(service: TranscriptionService, found: Mapping[ChildRef, Object]) -> list[Problem]:
    """Return a problem for each name that somebody else's object has.

    Raises LeavingError where that is what an earlier service of the same name left.
    """
    problems = []
    for ref, obj in sorted(found.items()):
        if _is_owned(obj, service):
            continue
        if _owner(obj) == (API_VERSION, KIND, service.name):
            raise LeavingError(_leaving(service, ref, obj))
        problems.append(
            Problem(
                Reason.NAME_TAKEN,
                f"the {ref.kind} {ref.name} exists and is not this service's, so nothing is "
                "changed: delete or rename it, or rename the pool",
            )
        )
    return problems


def _leaving(service: TranscriptionService, ref: ChildRef, obj: Object) -> str:
    finalizers = obj["metadata"].get("finalizers", ())
    holder = f"its finalizer {', '.join(finalizers)}" if finalizers else "the garbage collector"
    remedy = " (that is the keda-operator's: check that it runs)" if ref.kind in _KEDAS else ""
    return (
        f"the {ref.kind} {ref.name} of an earlier {service.name} is still being deleted, and this "
        f"one needs its name: it waits for {holder}{remedy if finalizers else ''}"
    )


def _is_owned(obj: Object, service: TranscriptionService) -> bool:
    owners = obj["metadata"].get("ownerReferences", ())
    return any(owner["uid"] == service.metadata.uid for owner in owners)


def _owner(obj: Object) -> tuple[str, str, str] | None:
    for owner in obj["metadata"].get("ownerReferences", ()):
        if owner.get("controller"):
            return owner["apiVersion"], owner["kind"], owner["name"]
    return None

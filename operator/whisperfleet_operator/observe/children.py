"""A service's children as they live: from the cache, and where it has none, from the API server."""

from collections.abc import Iterable, Mapping, Sequence

from whisperfleet_operator.cache import ObjectCache
from whisperfleet_operator.kube import Kube, NotFoundError, Object
from whisperfleet_operator.kube.kinds import CHILD_KINDS, POD, Kind
from whisperfleet_operator.observe.observation import Problem
from whisperfleet_operator.plan import ChildRef
from whisperfleet_operator.resource import Reason, TranscriptionService
from whisperfleet_operator.resource.names import (
    API_VERSION,
    KIND,
    MANAGED_BY_LABEL,
    OPERATOR,
    POOL_LABEL,
    SERVICE_LABEL,
    children_selector,
)
from whisperfleet_operator.work_queue import Key

__all__ = ["Children", "OwnerTerminatingError", "child_kind", "is_own", "obstacles"]

_KINDS = {(kind.api_version, kind.name): kind for kind in CHILD_KINDS}


class OwnerTerminatingError(Exception):
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
        """Return the children that the watches have told of, by their owner."""
        objects = self._cache.of_service((service.namespace, service.name), CHILD_KINDS)
        return {
            ChildRef.of(obj): obj
            for obj in objects
            # One without an owner is the service's where it has the name of a child, and is else
            # somebody's to delete.
            if obj["metadata"].get("ownerReferences") and is_own(obj, service)
        }

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


def is_own(obj: Object, service: TranscriptionService) -> bool:
    """Whether a child is the service's: by its owner, or by its labels where it has none.

    A backup brings children back without their owner, and `--cascade=orphan` leaves them so.
    """
    owners = obj["metadata"].get("ownerReferences")
    if owners:
        return any(owner["uid"] == service.metadata.uid for owner in owners)
    labels = obj["metadata"].get("labels", {})
    ours = {MANAGED_BY_LABEL: OPERATOR, SERVICE_LABEL: service.name}
    return all(labels.get(label) == value for label, value in ours.items())


def obstacles(
    service: TranscriptionService, name_conflicts: Mapping[ChildRef, Object]
) -> tuple[list[Problem], OwnerTerminatingError | None]:
    """Return what there is to say of objects that have the names of the service's children.

    They are somebody else's, or what an earlier service of the same name left.
    """
    left = {
        ref: obj for ref, obj in sorted(name_conflicts.items()) if _is_predecessors(obj, service)
    }
    taken = sorted(name_conflicts.keys() - left.keys())
    terminating = next(
        (OwnerTerminatingError(_terminating(service, *each)) for each in left.items()), None
    )
    return ([_name_taken(service, taken)] if taken else []), terminating


def _name_taken(service: TranscriptionService, taken: Sequence[ChildRef]) -> Problem:
    names = " and ".join(f"the {ref.kind} {ref.name}" for ref in taken)
    paths = " ".join(f"{_resource(ref)}/{ref.name}" for ref in taken)
    are, they = ("exist and are", "they are") if len(taken) > 1 else ("exists and is", "it is")
    return Problem(
        Reason.NAME_TAKEN,
        f"{names} {are} not this service's, so {they} left alone, and what needs "
        f"{'them' if len(taken) > 1 else 'it'} is not made; rename the pool, or delete what is in "
        f"the way: kubectl -n {service.namespace} delete {paths}",
    )


def _resource(ref: ChildRef) -> str:
    kind = child_kind(ref)
    return f"{kind.plural}.{kind.group}" if kind.group else kind.plural


def _is_predecessors(obj: Object, service: TranscriptionService) -> bool:
    return _owner(obj) == (API_VERSION, KIND, service.name)


def _terminating(service: TranscriptionService, ref: ChildRef, obj: Object) -> str:
    finalizers = obj["metadata"].get("finalizers", ())
    holder = f"its finalizer {', '.join(finalizers)}" if finalizers else "the garbage collector"
    remedy = " (that is the keda-operator's: check that it runs)" if ref.is_kedas else ""
    return (
        f"the {ref.kind} {ref.name} of an earlier {service.name} is still being deleted, and this "
        f"one needs its name: it waits for {holder}{remedy if finalizers else ''}"
    )


def _owner(obj: Object) -> tuple[str, str, str] | None:
    for owner in obj["metadata"].get("ownerReferences", ()):
        if owner.get("controller"):
            return owner["apiVersion"], owner["kind"], owner["name"]
    return None

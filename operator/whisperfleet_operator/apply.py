"""Carry out a plan: what differs, in its order, and nothing else."""

from collections.abc import Iterable, Mapping

from whisperfleet_operator.cache import ObjectCache
from whisperfleet_operator.drift import differs, stamped
from whisperfleet_operator.kube import (
    ForbiddenError,
    InvalidError,
    Kube,
    KubeError,
    Object,
)
from whisperfleet_operator.observe import Problem
from whisperfleet_operator.observe.children import child_kind
from whisperfleet_operator.plan import ChildRef, Manifest
from whisperfleet_operator.resource import Reason
from whisperfleet_operator.resource.names import CREATION_MANAGER, FIELD_MANAGER

__all__ = ["Applier"]


class Applier:
    """Writes for one look at one service; what it wrote is in `live` and in the cache.

    What the API server refuses becomes one of `problems`, and the rest goes on; what it does not
    answer is raised, for the next look.
    """

    def __init__(self, kube: Kube, cache: ObjectCache, live: Mapping[ChildRef, Object]) -> None:
        self.live = dict(live)
        self.problems: list[Problem] = []
        self._kube = kube
        self._cache = cache

    def create(self, manifests: Iterable[Manifest]) -> None:
        """POST what is missing."""
        for manifest in manifests:
            # Where somebody was faster the look fails; whose it is shows at the next one.
            try:
                self._took(self._kube.create(manifest, CREATION_MANAGER))
            except (ForbiddenError, InvalidError) as error:
                self._refused(manifest, error)

    def apply(self, manifests: Iterable[Manifest]) -> None:
        """Apply what is not as it should be."""
        for manifest in manifests:
            wanted = stamped(manifest)
            live = self.live.get(ChildRef.of(manifest))
            if live is not None and not differs(live, wanted):
                continue
            try:
                self._took(self._kube.apply(wanted, FIELD_MANAGER))
            except (ForbiddenError, InvalidError) as error:
                self._refused(manifest, error)

    def delete(self, refs: Iterable[ChildRef], namespace: str) -> None:
        """Delete children that are no longer asked for."""
        for ref in refs:
            uid = self.live[ref]["metadata"]["uid"]
            self._kube.delete(child_kind(ref), namespace, ref.name, uid)
            self._cache.saw_deleted(self.live.pop(ref))

    def _took(self, obj: Object) -> None:
        self.live[ChildRef.of(obj)] = obj
        self._cache.saw(obj)

    def _refused(self, manifest: Manifest, error: KubeError) -> None:
        ref = ChildRef.of(manifest)
        self.problems.append(
            Problem(
                Reason.APPLY_REFUSED,
                f"the API server refuses the {ref.kind} {ref.name}: {error.reason}",
            )
        )

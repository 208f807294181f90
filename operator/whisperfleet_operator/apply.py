"""Carry out a plan: what differs, in its order, and nothing else.

Server-side apply makes what is not there, and a Deployment that it makes has a pod. So what was to
be created and was refused is not applied, and what is applied names the object that was seen: one
that has gone since is a conflict, for the next look.
"""

from collections.abc import Iterable, Mapping

from whisperfleet_operator.cache import ObjectCache
from whisperfleet_operator.drift import differs, stamped
from whisperfleet_operator.kube import (
    AlreadyExistsError,
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
        self._unborn: set[ChildRef] = set()

    def create(self, manifests: Iterable[Manifest]) -> None:
        """POST what is missing."""
        for manifest in manifests:
            # Where somebody was faster the look fails; whose it is shows at the next one.
            try:
                self._took(self._kube.create(manifest, CREATION_MANAGER))
            except (ForbiddenError, InvalidError) as error:
                self._unborn.add(ChildRef.of(manifest))
                self._refused(manifest, error)

    def apply(self, manifests: Iterable[Manifest]) -> None:
        """Apply what is not as it should be."""
        for manifest in manifests:
            ref, wanted = ChildRef.of(manifest), stamped(manifest)
            live = self.live.get(ref)
            if live is not None:
                if not differs(live, wanted):
                    continue
                wanted["metadata"]["uid"] = live["metadata"]["uid"]
            elif ref in self._unborn:
                continue
            try:
                self._took(self._kube.apply(wanted, FIELD_MANAGER))
            except AlreadyExistsError:
                self._doubt(live)
                raise
            except (ForbiddenError, InvalidError) as error:
                self._doubt(live)
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

    def _doubt(self, live: Object | None) -> None:
        """Read anew at the next look what may be another object by now."""
        if live is not None:
            self._cache.doubt(live)

    def _refused(self, manifest: Manifest, error: KubeError) -> None:
        ref = ChildRef.of(manifest)
        if "exceeded quota" in error.reason:
            problem = Problem(
                Reason.QUOTA_EXCEEDED,
                f"a ResourceQuota of the namespace forbids the {ref.kind} {ref.name}: raise it "
                f"({error.reason})",
            )
        else:
            problem = Problem(
                Reason.APPLY_REFUSED,
                f"the API server refuses the {ref.kind} {ref.name}: {error.reason}",
            )
        self.problems.append(problem)

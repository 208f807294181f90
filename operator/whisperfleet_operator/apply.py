"""Carry out a plan: what differs, in its order, and nothing else.

Server-side apply makes what is not there, and a Deployment that it makes has a pod. So what was to
be created and was refused is not applied, and what is applied names the object that was seen: one
that has gone since is a conflict, for the next reconcile.
"""

from collections.abc import Callable, Mapping

from whisperfleet_operator.cache import ObjectCache
from whisperfleet_operator.drift import difference, stamped
from whisperfleet_operator.kube import (
    ForbiddenError,
    InvalidError,
    Kube,
    KubeError,
    Object,
    UnavailableError,
)
from whisperfleet_operator.observe import Problem
from whisperfleet_operator.observe.children import child_kind
from whisperfleet_operator.plan import ChildRef, Manifest, Parts
from whisperfleet_operator.resource import Reason
from whisperfleet_operator.resource.names import CREATION_MANAGER, FIELD_MANAGER
from whisperfleet_operator.status.refusals import refusal
from whisperfleet_operator.write_conflicts import WriteConflicts

__all__ = ["Applier"]


class Applier:
    """Writes for one reconcile of one service; what it wrote is in `live` and in the cache.

    What the API server refuses becomes one of `problems`, what fails in it one of `failures`, and
    the rest goes on; what it does not answer is raised, for the next reconcile. `conflicting` says
    what others make of what was written.
    """

    def __init__(
        self,
        kube: Kube,
        cache: ObjectCache,
        conflicts: WriteConflicts,
        live: Mapping[ChildRef, Object],
    ) -> None:
        self.live = dict(live)
        self.problems: list[Problem] = []
        self.failures: list[KubeError] = []
        self.conflicting: list[Problem] = []
        self._kube = kube
        self._cache = cache
        self._conflicts = conflicts
        self._unborn: set[ChildRef] = set()

    def carry_out(self, parts: Parts) -> None:
        """Do what differs, one part after the other."""
        for manifest in parts.scale:
            self._apply(manifest)
        for manifest in parts.create:
            # Where somebody was faster it fails; whose it is shows at the next reconcile.
            if not self._attempt(manifest, self._create):
                self._unborn.add(ChildRef.of(manifest))
        for manifest in (*parts.apply, *parts.autoscale):
            self._apply(manifest)
        for ref in parts.delete:
            self._attempt(self.live[ref], self._delete)

    def _apply(self, manifest: Manifest) -> None:
        ref, wanted = ChildRef.of(manifest), stamped(manifest)
        live = self.live.get(ref)
        if live is None and ref in self._unborn:
            return
        if live is not None:
            field = difference(live, wanted)
            if field is None:
                return
            if not self._conflicts.may_write(wanted, live):
                self.conflicting.append(_conflict(live, field))
                return
            wanted["metadata"]["uid"] = live["metadata"]["uid"]
        if not self._attempt(wanted, self._write) and live is not None:
            # It may be another object by now: the next reconcile reads it anew.
            self._cache.invalidate(live)

    def _attempt(self, manifest: Manifest, write: Callable[[Manifest], None]) -> bool:
        """Return whether it was done."""
        try:
            write(manifest)
        except (ForbiddenError, InvalidError) as error:
            self.problems.append(refusal(ChildRef.of(manifest), error))
        except UnavailableError:
            raise
        except KubeError as error:
            self.failures.append(error)
        else:
            return True
        return False

    def _create(self, manifest: Manifest) -> None:
        self._took(self._kube.create(manifest, CREATION_MANAGER))

    def _write(self, wanted: Manifest) -> None:
        came_back = self._kube.apply(wanted, FIELD_MANAGER)
        self._conflicts.wrote(wanted, came_back)
        self._took(came_back)
        field = difference(came_back, wanted)
        if field is not None:
            self.conflicting.append(_conflict(came_back, field))

    def _delete(self, obj: Object) -> None:
        metadata, ref = obj["metadata"], ChildRef.of(obj)
        self._kube.delete(child_kind(ref), metadata["namespace"], ref.name, metadata["uid"])
        self._cache.saw_deleted(self.live.pop(ref))

    def _took(self, obj: Object) -> None:
        self.live[ChildRef.of(obj)] = obj
        self._cache.saw(obj)


def _conflict(live: Object, field: str) -> Problem:
    ref, namespace = ChildRef.of(live), live["metadata"]["namespace"]
    plural = child_kind(ref).plural
    return Problem(
        Reason.CHANGED_BY_ANOTHER,
        f"{field} of the {ref.kind} {ref.name} is written as the spec asks, and others make "
        "something else of it, so it is left as they have it: an admission webhook (kubectl get "
        "mutatingwebhookconfigurations) or another writer (kubectl -n "
        f"{namespace} get {plural} {ref.name} --show-managed-fields -o yaml); once that has ended, "
        f"any change of the object has it written again, such as kubectl -n {namespace} annotate "
        f"{plural} {ref.name} whisperfleet.io/again=1",
    )

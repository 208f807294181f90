"""A plan in the parts that can be carried out now: what is missing delays nothing else."""

from collections.abc import Collection
from dataclasses import dataclass

from whisperfleet_operator.plan.actions import ChildRef, Manifest, Plan

__all__ = ["Parts", "divide"]

_DEPLOYMENT = "Deployment"
_ACCOUNT = "ServiceAccount"
_SCALED_OBJECT = "ScaledObject"
_AUTHENTICATION = "TriggerAuthentication"


@dataclass(frozen=True, slots=True)
class Parts:
    """What to do, in the order of the fields.

    `scale` are the changes of KEDA's objects for pools that are scaled already, so that a fleet can
    be suspended whatever else is missing. `autoscale` are those of pools that are to be.
    """

    scale: tuple[Manifest, ...]
    create: tuple[Manifest, ...]
    apply: tuple[Manifest, ...]
    autoscale: tuple[Manifest, ...]
    delete: tuple[ChildRef, ...]


def divide(
    plan: Plan,
    live: Collection[ChildRef],
    taken: Collection[ChildRef],
    *,
    keda: bool,
    streams: bool,
) -> Parts:
    """Return what can be done of the plan.

    `live` are the service's own children, `taken` the names that others' objects have. `keda` says
    whether there is KEDA, `streams` whether the queue exists: where it does not, KEDA makes no
    autoscaler for a ScaledObject.

    What exists is still changed. What does not exist waits for everything that it refers to: pods
    never start with another's account, and another's Deployment is never scaled.
    """
    taken_names = {kind: _names(taken, kind) for kind in (_DEPLOYMENT, _ACCOUNT, _AUTHENTICATION)}
    create = tuple(
        birth
        for birth in plan.create
        if ChildRef.of(birth) not in taken and _name(birth) not in taken_names[_ACCOUNT]
    )
    born = {ChildRef.of(birth) for birth in create} | set(live)
    apply = tuple(
        manifest
        for manifest in plan.apply
        if (ref := ChildRef.of(manifest)) not in taken and (ref in born or ref.kind != _DEPLOYMENT)
    )
    scaled = _names(live, _SCALED_OBJECT)
    targets = _names(born, _DEPLOYMENT)
    possible = [each for each in plan.autoscale if keda and ChildRef.of(each) not in taken]
    return Parts(
        scale=tuple(
            each
            for each in possible
            if _name(each) in scaled and _name(each) not in taken_names[_DEPLOYMENT]
        ),
        create=create,
        apply=apply,
        autoscale=tuple(
            each
            for each in possible
            if streams
            and _name(each) not in scaled
            and _name(each) in targets
            and _name(each) not in taken_names[_AUTHENTICATION]
        ),
        delete=tuple(ref for ref in plan.delete if keda or not ref.is_kedas),
    )


def _name(manifest: Manifest) -> str:
    name: str = manifest["metadata"]["name"]
    return name


def _names(refs: Collection[ChildRef], kind: str) -> frozenset[str]:
    return frozenset(ref.name for ref in refs if ref.kind == kind)

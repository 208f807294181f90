"""The plan's inputs and outputs."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

__all__ = ["ChildRef", "Manifest", "Observed", "Plan"]

Manifest = dict[str, Any]
"""An object as the API server takes it, in JSON's types."""


class ChildRef(NamedTuple):
    """Which child: all that is needed to read or delete it in the service's namespace."""

    api_version: str
    kind: str
    name: str

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """Return the reference of an object."""
        return cls(manifest["apiVersion"], manifest["kind"], manifest["metadata"]["name"])


@dataclass(frozen=True, slots=True)
class Observed:
    """What the plan depends on beside the service itself.

    `children` are the live objects that the service owns, by the uid in their owner reference.
    `credentials` is any text that changes when what is used of the Secrets of `secret_needs` does,
    and tells nothing of it: it is written on every pod. It is None where the service names no
    Secret. `same_credentials` is a later text for the same, to be kept beside the pods.
    """

    children: frozenset[ChildRef] = field(default_factory=frozenset)
    credentials: str | None = None
    same_credentials: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What there should be; carry it out in the order of the fields, and only what differs.

    `create` is POSTed by the creation manager, never applied; what it holds is missing.
    `apply` is applied server-side, by force: it never mentions a Deployment's replicas.
    `autoscale` are KEDA's objects, which need KEDA, and the streams before they are first applied.
    `delete` are children that the service no longer asks for.
    """

    create: tuple[Manifest, ...]
    apply: tuple[Manifest, ...]
    autoscale: tuple[Manifest, ...]
    delete: tuple[ChildRef, ...]

    @property
    def wanted(self) -> frozenset[ChildRef]:
        """The children that there should be."""
        return frozenset(ChildRef.of(manifest) for manifest in (*self.apply, *self.autoscale))

"""The plan's inputs and outputs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

__all__ = ["ChildRef", "Credentials", "Manifest", "Observed", "Plan", "PolicyPorts"]

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

    @property
    def is_kedas(self) -> bool:
        """Whether the kind is one of KEDA's."""
        return self.api_version.startswith("keda.sh/")


@dataclass(frozen=True, slots=True)
class PolicyPorts:
    """Ports that workers may reach anywhere, whatever the service.

    A NetworkPolicy is about the ports of pods, which a Service may hide behind others: the DNS of
    OpenShift listens on 5353. `extra` are TCP ports, such as that of a Redis's pods.
    """

    dns: tuple[int, ...] = (53, 5353)
    extra: tuple[int, ...] = ()


class Credentials(NamedTuple):
    """Which credentials the pods of a pool run with.

    `digest` is any text that changes when what is used of the Secrets of `secret_needs` does, and
    reveals nothing of it: it is written on every pod. It is None where the service names no Secret.
    `same_as` is a later digest of the same credentials, to be kept beside the pods.
    """

    digest: str | None = None
    same_as: str | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """What the plan depends on beside the service itself.

    `children` are the live objects that the service owns, by the uid in their owner reference.
    `credentials` are those of each pool, by its name; a pool without any needs no entry. `ports`
    are those of the cluster that no spec names.
    """

    children: frozenset[ChildRef] = field(default_factory=frozenset)
    credentials: Mapping[str, Credentials] = field(default_factory=dict)
    ports: PolicyPorts = PolicyPorts()


@dataclass(frozen=True, slots=True)
class Plan:
    """What there should be; `divide` says what of it can be done now, and in which order.

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

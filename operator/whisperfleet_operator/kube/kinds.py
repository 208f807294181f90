"""The kinds that the operator touches, and where the API server keeps them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "CHILD_KINDS",
    "DEPLOYMENT",
    "EVENT",
    "HPA",
    "LEASE",
    "NAMESPACE",
    "POD",
    "SCALED_OBJECT",
    "SECRET",
    "SERVICE",
    "Kind",
    "kind_of",
]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object: `plural` is its name in addresses."""

    api_version: str
    name: str
    plural: str
    namespaced: bool = True

    @property
    def group(self) -> str:
        """The API group; empty for the core one."""
        return self.api_version.rpartition("/")[0]

    def path(self, namespace: str | None, name: str | None = None) -> str:
        """Return the address of a collection, or of one object in it."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"
        within = f"/namespaces/{namespace}" if namespace and self.namespaced else ""
        return f"{root}{within}/{self.plural}" + (f"/{name}" if name else "")


SERVICE = Kind("whisperfleet.io/v1alpha1", "TranscriptionService", "transcriptionservices")
DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
SCALED_OBJECT = Kind("keda.sh/v1alpha1", "ScaledObject", "scaledobjects")
HPA = Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
POD = Kind("v1", "Pod", "pods")
SECRET = Kind("v1", "Secret", "secrets")
EVENT = Kind("v1", "Event", "events")
LEASE = Kind("coordination.k8s.io/v1", "Lease", "leases")
NAMESPACE = Kind("v1", "Namespace", "namespaces", namespaced=False)

CHILD_KINDS = (
    DEPLOYMENT,
    SCALED_OBJECT,
    Kind("keda.sh/v1alpha1", "TriggerAuthentication", "triggerauthentications"),
    Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
    Kind("v1", "ServiceAccount", "serviceaccounts"),
    Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
)
_KNOWN = {
    (kind.api_version, kind.name): kind
    for kind in (SERVICE, HPA, POD, SECRET, EVENT, LEASE, NAMESPACE, *CHILD_KINDS)
}


def kind_of(obj: Mapping[str, Any]) -> Kind:
    """Return the kind of an object. Raises KeyError for one the operator does not touch."""
    return _KNOWN[obj["apiVersion"], obj["kind"]]

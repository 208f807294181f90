"""TranscriptionServices for tests: what to apply, and how to wait for what they say."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from kubernetes.dynamic.exceptions import NotFoundError

from support.cluster.kube import Json, Kube, condition, until

RESOURCE: Final = "transcriptionservices.whisperfleet.io"
SERVICE: Final = "calls"
POOL: Final = "main"
CHILD: Final = f"{SERVICE}-{POOL}"

# Of a service without credentials.
CHILDREN: Final = (
    "serviceaccount",
    "networkpolicy",
    "poddisruptionbudget",
    "deployment",
    "scaledobject",
)

# What a service with credentials has beside these.
AUTHENTICATION: Final = "triggerauthentication"

# Tests look again and again: a kubectl for each look would take more time than what they wait for.
_KINDS: Final = {
    RESOURCE: "TranscriptionService",
    AUTHENTICATION: "TriggerAuthentication",
    "deployment": "Deployment",
    "lease": "Lease",
    "networkpolicy": "NetworkPolicy",
    "poddisruptionbudget": "PodDisruptionBudget",
    "quota": "ResourceQuota",
    "scaledobject": "ScaledObject",
    "secret": "Secret",
    "serviceaccount": "ServiceAccount",
}

# As fast as a fleet may be told to be: a model must load faster than a fleet falls asleep.
FAST: Final = {"pollingSeconds": 1, "startupSeconds": 30, "cooldownSeconds": 31}


def manifest(name: str, namespace: str, image: str, redis_url: str, **spec: Any) -> Json:
    """Return the least that can be applied, and what a test says beside it."""
    return {
        "apiVersion": "whisperfleet.io/v1alpha1",
        "kind": "TranscriptionService",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "model": {"image": image},
            "queue": {"redis": {"url": redis_url}},
            "pools": [{"name": POOL, "replicas": {"max": 3}}],
            **spec,
        },
    }


@dataclass(frozen=True)
class Service:
    """A service in a namespace of the cluster, and what belongs to it."""

    kube: Kube
    namespace: str
    name: str = SERVICE

    def get(self, resource: str = RESOURCE, name: str | None = None) -> Json:
        """Return an object of the namespace, the service itself unless told; empty without one."""
        try:
            return self.kube.get(_KINDS[resource], name or self.name, self.namespace)
        except NotFoundError:
            return {}

    def child(self, resource: str) -> Json:
        return self.get(resource, CHILD)

    def patch(self, change: Mapping[str, Any], resource: str = RESOURCE, name: str = "") -> None:
        """Merge a change into an object, as `kubectl edit` would."""
        body = json.dumps(change)
        self._run("patch", resource, name or self.name, "--type=merge", "-p", body)

    def delete(self, resource: str = RESOURCE, name: str = "") -> None:
        self._run("delete", resource, name or self.name, "--wait=false")

    def children(self) -> dict[str, Json]:
        """Return the children that there are, by resource."""
        resources = (*CHILDREN, AUTHENTICATION)
        return {resource: found for resource in resources if (found := self.child(resource))}

    def everything(self, labels: str = "") -> set[str]:
        """Return the names of all objects of the namespace, whatever they are, but its Events."""
        listable = self.kube.run("api-resources", "--namespaced", "--verbs=list", "-o", "name")
        kinds = (
            kind
            for kind in listable.split()
            if not kind.startswith("events") and not kind.endswith(".metrics.k8s.io")
        )
        return set(self._run("get", ",".join(kinds), "-o", "name", "-l", labels).split())

    def pods(self) -> list[Json]:
        labels = f"whisperfleet.io/service={self.name}"
        return self.kube.list("Pod", self.namespace, labels)

    def condition(self, kind: str) -> Json:
        return condition(self.get(), kind)

    def wait_until_made(self, seconds: float = 30) -> None:
        until(lambda: len(self.children()) == len(CHILDREN), "every child is there", seconds)

    def wait_for(
        self, kind: str, reason: str, status: str | None = None, seconds: float = 60
    ) -> Json:
        """Return a condition once it has this reason."""

        def says() -> Json | None:
            found = self.condition(kind)
            is_it = found.get("reason") == reason and status in (None, found.get("status"))
            return found if is_it else None

        found = until(says, lambda: f"{kind} says {reason}; it is {self.condition(kind)}", seconds)
        assert found is not None
        return found

    def fails_with(self, reason: str, seconds: float = 90) -> str:
        """Return the message once it is not ready for this reason, and says so everywhere."""
        ready = self.wait_for("Ready", reason, "False", seconds)
        self.wait_for("Degraded", reason, "True")
        until(lambda: reason in self.events(), f"an Event says {reason}")
        message: str = ready["message"]
        return message

    def events(self) -> set[str]:
        """Return the reasons of the Events about the service."""
        about = f"involvedObject.name={self.name},involvedObject.kind=TranscriptionService"
        return {event["reason"] for event in self.kube.list("Event", self.namespace, fields=about)}

    def _run(self, *arguments: str) -> str:
        return self.kube.run("-n", self.namespace, *arguments)

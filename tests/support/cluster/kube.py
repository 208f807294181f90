"""What tests read from a cluster and write to it: objects as dicts, by kind and name."""

import subprocess
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
import redis
import yaml
from kubernetes.client.exceptions import ApiException
from kubernetes.config import new_client_from_config
from kubernetes.dynamic import DynamicClient
from kubernetes.dynamic.exceptions import NotFoundError
from kubernetes.dynamic.resource import Resource
from urllib3.exceptions import HTTPError

T = TypeVar("T")
Json = dict[str, Any]

# Of what tests look at by name.
_API_VERSIONS: Final = {
    "CustomResourceDefinition": "apiextensions.k8s.io/v1",
    "Deployment": "apps/v1",
    "Event": "v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "Lease": "coordination.k8s.io/v1",
    "Namespace": "v1",
    "NetworkPolicy": "networking.k8s.io/v1",
    "Node": "v1",
    "Pod": "v1",
    "PodDisruptionBudget": "policy/v1",
    "ResourceQuota": "v1",
    "ScaledObject": "keda.sh/v1alpha1",
    "Secret": "v1",
    "Service": "v1",
    "ServiceAccount": "v1",
    "TranscriptionService": "whisperfleet.io/v1alpha1",
    "TriggerAuthentication": "keda.sh/v1alpha1",
}
# A change is often seen within a watch's delay; asking more often only takes the cluster's time.
_LOOK_SECONDS: Final = 0.1


def until(condition: Callable[[], T], what: str | Callable[[], str], seconds: float = 30.0) -> T:
    """Return the condition's value once it is true; fail with what it was about.

    What shall tell how things are in the end is a function, which is asked only then.

    A server that does not answer at the moment is asked again, and named if it comes to nothing.
    """
    deadline = time.monotonic() + seconds
    trouble = ""
    while True:
        try:
            if value := condition():
                return value
        except (ApiException, HTTPError, redis.ConnectionError, redis.TimeoutError) as error:
            if not _may_pass(error):
                raise
            trouble = f"; the last trouble with it: {type(error).__name__}: {error}"
        if time.monotonic() > deadline:
            told = what() if callable(what) else what
            pytest.fail(f"not within {seconds:g} s: {told}{trouble}")
        time.sleep(_LOOK_SECONDS)


def _may_pass(error: Exception) -> bool:
    """Whether an error says that the server is out of order, not that the question was."""
    if isinstance(error, ApiException):
        return error.status in {None, 0, 429} or error.status >= 500
    return True


@dataclass(frozen=True)
class Kube:
    """A cluster's API server, as whoever `kubeconfig` says; `kubectl` is the binary to ask with."""

    kubeconfig: Path
    kubectl: Path
    dynamic: DynamicClient

    @classmethod
    def connect(cls, kubeconfig: Path, kubectl: Path, cache: Path) -> "Kube":
        """Return a connection; what kinds the server knows is kept in the file `cache`."""
        client = new_client_from_config(str(kubeconfig))
        return cls(kubeconfig, kubectl, DynamicClient(client, cache_file=str(cache)))

    def close(self) -> None:
        self.dynamic.client.close()

    def create(self, manifest: Json, namespace: str | None = None) -> Json:
        kind = self.dynamic.resources.get(api_version=manifest["apiVersion"], kind=manifest["kind"])
        made: Json = self.dynamic.create(kind, body=manifest, namespace=namespace).to_dict()
        return made

    def get(self, kind: str, name: str, namespace: str | None = None) -> Json:
        """Return an object. Raises kubernetes.dynamic.exceptions.NotFoundError."""
        found = self.dynamic.get(self._resource(kind), name=name, namespace=namespace)
        read: Json = found.to_dict()
        return read

    def exists(self, kind: str, name: str, namespace: str | None = None) -> bool:
        try:
            self.get(kind, name, namespace)
        except NotFoundError:
            return False
        return True

    def list(
        self, kind: str, namespace: str | None = None, labels: str = "", fields: str = ""
    ) -> list[Json]:
        """Return the objects whose labels and fields these selectors take; empty ones take all."""
        found = self.dynamic.get(
            self._resource(kind),
            namespace=namespace,
            label_selector=labels or None,
            field_selector=fields or None,
        )
        items: list[Json] = found.to_dict()["items"]
        return items

    def patch(self, kind: str, name: str, namespace: str, change: Json) -> None:
        """Merge a change into an object; a value of None takes a field away."""
        self.dynamic.patch(
            self._resource(kind),
            name=name,
            namespace=namespace,
            body=change,
            content_type="application/merge-patch+json",
        )

    def delete(self, kind: str, name: str, namespace: str | None = None) -> None:
        """Ask for an object's end and return at once; one that is gone is none to complain of."""
        try:
            self.dynamic.delete(
                self._resource(kind),
                name=name,
                namespace=namespace,
                body={"propagationPolicy": "Background"},
            )
        except NotFoundError:
            return

    def evict(self, pod: str, namespace: str) -> None:
        """Ask for a pod's end as a drain of its node does."""
        eviction = self._resource("Pod").subresources["eviction"]
        eviction.create(
            name=pod,
            namespace=namespace,
            body={
                "apiVersion": "policy/v1",
                "kind": "Eviction",
                "metadata": {"name": pod, "namespace": namespace},
            },
        )

    def run(self, *arguments: str) -> str:
        """Return what kubectl writes. Raises subprocess.CalledProcessError."""
        return self._kubectl(*arguments, check=True).stdout

    def show(self, *arguments: str) -> str:
        """Return what kubectl says, whether it succeeds or not: for a person."""
        done = self._kubectl(*arguments, check=False)
        return done.stdout + done.stderr

    def _kubectl(self, *arguments: str, check: bool) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(self.kubectl), "--kubeconfig", str(self.kubeconfig), *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=check,
        )

    def _resource(self, kind: str) -> Resource:
        found: Resource = self.dynamic.resources.get(api_version=_API_VERSIONS[kind], kind=kind)
        return found


def condition(thing: Json, kind: str) -> Json:
    """Return a condition of an object; an empty one where it has none of this kind yet."""
    conditions: Iterable[Json] = thing.get("status", {}).get("conditions") or ()
    return next((one for one in conditions if one["type"] == kind), {})


def load_manifests(text: str) -> list[Json]:
    """Return the objects of a YAML file."""
    return [document for document in yaml.safe_load_all(text) if document]


__all__ = ["Json", "Kube", "condition", "load_manifests", "until"]

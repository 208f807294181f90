"""Objects as an API server and a kubelet would write them, for tests without either."""

from datetime import UTC, datetime
from typing import Any, Final

from support.operator.services import CHILD, POOL, SERVICE
from whisperfleet_operator.kube import Object
from whisperfleet_operator.queues import Sample
from whisperfleet_operator.resource import TranscriptionService

NOW: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NAMESPACE: Final = "team-a"


def service_object(**spec: Any) -> Object:
    """Return a service as the API server gives it to the operator."""
    return {
        "apiVersion": "whisperfleet.io/v1alpha1",
        "kind": "TranscriptionService",
        "metadata": {
            "name": SERVICE,
            "namespace": NAMESPACE,
            "uid": "uid-of-calls",
            "generation": 3,
            "resourceVersion": "7",
        },
        "spec": {
            "model": {"image": "example/worker:0.1.0-turbo"},
            "queue": {"redis": {"url": "redis://redis:6379/0"}},
            "pools": [{"name": POOL, "replicas": {"max": 3}, "gpu": {"preset": "gke-l4"}}],
            **spec,
        },
    }


def service(**spec: Any) -> TranscriptionService:
    return TranscriptionService.from_object(service_object(**spec))


def sample(**changes: Any) -> Sample:
    """Return a queue with nothing in it, but for the changes."""
    empty: dict[str, Any] = {
        "lengths": (0, 0, 0),
        "queued": 0,
        "running": 0,
        "dead_letters": 0,
        "oldest": None,
        "taken": NOW,
        "warnings": (),
    }
    return Sample(**empty | changes)


def deployment(replicas: int, *conditions: Object) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": CHILD, "namespace": NAMESPACE},
        "spec": {"replicas": replicas},
        "status": {"conditions": list(conditions)},
    }


def scaled_object(**conditions: str) -> Object:
    """Return a ScaledObject with conditions: a status, or a status and a reason."""
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": CHILD, "namespace": NAMESPACE},
        "status": {
            "conditions": [
                _condition(name, *said.split(), message="ScaledObject check failed")
                for name, said in conditions.items()
            ]
        },
    }


def autoscaler(name: str = f"keda-hpa-{CHILD}", active: str = "True", owner: str = CHILD) -> Object:
    """Return a HorizontalPodAutoscaler of the Deployment: KEDA's, unless it has no owner."""
    owners = [{"kind": "ScaledObject", "name": owner, "uid": f"uid-of-{owner}"}] if owner else []
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": NAMESPACE, "ownerReferences": owners},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": CHILD}},
        "status": {"conditions": [_condition("ScalingActive", *active.split(), message="no")]},
    }


def _condition(name: str, status: str, reason: str = "", *, message: str) -> Object:
    told = {"reason": reason} if reason else {}
    return {"type": name, "status": status, "message": message, **told}


def pod(name: str = "calls-main-1", **status: Any) -> Object:
    """Return a pod that is on a node and ready, but for what `status` says."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "status": {
            "conditions": [
                {"type": "PodScheduled", "status": "True"},
                {"type": "Ready", "status": "True"},
            ],
            **status,
        },
    }


def waiting_pod(container: Object | None = None, **scheduled: str) -> Object:
    """Return a pod that is not ready; without arguments the kubelet has not begun with it."""
    conditions = [
        {"type": "PodScheduled", "status": "True", **scheduled},
        {"type": "Ready", "status": "False"},
    ]
    containers = [{"name": "worker", "image": "example/worker:0.1.0-turbo", **(container or {})}]
    return pod(conditions=conditions, containerStatuses=containers if container else [])

"""The pod of a worker, under the restricted pod security standard."""

from math import ceil
from typing import Any, Final

from whisperfleet_operator.plan.environment import HTTP_PORT, environment
from whisperfleet_operator.plan.gpu_nodes import placement
from whisperfleet_operator.plan.needs import CA_KEY
from whisperfleet_operator.resource.names import (
    CREDENTIALS_ANNOTATION,
    WORKER_CONTAINER,
    child_labels,
    child_name,
)
from whisperfleet_operator.resource.pools import Pool
from whisperfleet_operator.resource.service import TranscriptionService
from whisperfleet_operator.resource.template import (
    CA_FOLDER,
    MODEL_FOLDER,
    RESERVED_VOLUME_PREFIX,
    SCRATCH_FOLDER,
)

__all__ = ["DRAIN_MARGIN_SECONDS", "least_pod_template", "pod_template"]

# After its drain a worker hands back what is left, ends its children and the engine, and exits.
DRAIN_MARGIN_SECONDS: Final = 15
_STARTUP_PROBE_SECONDS: Final = 2

# The group that the images run as: a volume of a service's own would else be root's alone.
_IMAGE_GROUP: Final = 65532

# What the restricted pod security standard asks of a pod and of its container.
_POD_SECURITY: Final = {
    "runAsNonRoot": True,
    "fsGroup": _IMAGE_GROUP,
    # The default goes through every file of a large volume at each start of a pod.
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}
_CONTAINER_SECURITY: Final = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}

_SCRATCH: Final = f"{RESERVED_VOLUME_PREFIX}scratch"
_MODEL: Final = f"{RESERVED_VOLUME_PREFIX}model"
_REDIS_CA: Final = f"{RESERVED_VOLUME_PREFIX}redis-ca"


def pod_template(
    service: TranscriptionService, pool: Pool, credentials: str | None
) -> dict[str, Any]:
    """Return the pod template of `pool`.

    The same service gives the same template from every version of the operator: another one would
    send every GPU of every fleet through a rollout.
    """
    annotations = dict(pool.template.annotations)
    if credentials is not None:
        annotations[CREDENTIALS_ANNOTATION] = credentials
    metadata: dict[str, Any] = {
        "labels": {**pool.template.labels, **child_labels(service.name, pool.name)}
    }
    if annotations:
        metadata["annotations"] = annotations
    return {"metadata": metadata, "spec": _spec(service, pool)}


def least_pod_template(service: TranscriptionService, pool: Pool) -> dict[str, Any]:
    """Return the least that a cluster lets in; it says nothing that `pod_template` could drop."""
    container = {
        "name": WORKER_CONTAINER,
        "image": service.spec.model.image,
        "securityContext": _CONTAINER_SECURITY,
    }
    return {
        "metadata": {"labels": child_labels(service.name, pool.name)},
        "spec": {
            "automountServiceAccountToken": False,
            "securityContext": _POD_SECURITY,
            "containers": [container],
        },
    }


def _spec(service: TranscriptionService, pool: Pool) -> dict[str, Any]:
    template = pool.template
    spec: dict[str, Any] = {
        "serviceAccountName": child_name(service.name, pool.name),
        "automountServiceAccountToken": False,
        # A Service named `whisperfleet-redis` would set WHISPERFLEET_REDIS_PORT and its kin.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": service.spec.worker.drain_seconds + DRAIN_MARGIN_SECONDS,
        "securityContext": _POD_SECURITY,
        "containers": [_worker(service, pool)],
        "volumes": _volumes(service, pool),
        **placement(pool),
    }
    if template.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": each.name} for each in template.image_pull_secrets]
    if template.priority_class_name is not None:
        spec["priorityClassName"] = template.priority_class_name
    return spec


def _worker(service: TranscriptionService, pool: Pool) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": WORKER_CONTAINER,
        "image": service.spec.model.image,
        "args": ["worker"],
        "env": environment(service, pool),
        "ports": [{"name": "http", "containerPort": HTTP_PORT, "protocol": "TCP"}],
        "securityContext": _CONTAINER_SECURITY,
        "volumeMounts": _mounts(service, pool),
        **_probes(service.spec.scaling.startup_seconds),
    }
    if resources := _resources(service, pool):
        container["resources"] = resources
    return container


def _probes(startup_seconds: int) -> dict[str, Any]:
    """Return the probes: whoever has not loaded the model in time starts anew, who hangs too."""
    return {
        "startupProbe": {
            "httpGet": {"path": "/readyz", "port": "http"},
            "periodSeconds": _STARTUP_PROBE_SECONDS,
            "timeoutSeconds": 5,
            "failureThreshold": ceil(startup_seconds / _STARTUP_PROBE_SECONDS),
        },
        "readinessProbe": {
            "httpGet": {"path": "/readyz", "port": "http"},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 3,
        },
        "livenessProbe": {
            "httpGet": {"path": "/livez", "port": "http"},
            "periodSeconds": 15,
            "timeoutSeconds": 5,
            "failureThreshold": 4,
        },
    }


def _resources(service: TranscriptionService, pool: Pool) -> dict[str, Any]:
    asked = service.spec.worker.resources
    requests = {name: str(amount) for name, amount in asked.requests.items()}
    limits = {name: str(amount) for name, amount in asked.limits.items()}
    if pool.gpu is not None:
        # An extended resource is requested by its limit.
        limits[pool.gpu.resource] = str(pool.gpu.count)
    return {name: value for name, value in (("requests", requests), ("limits", limits)) if value}


def _volumes(service: TranscriptionService, pool: Pool) -> list[dict[str, Any]]:
    volumes: list[dict[str, Any]] = [{"name": _SCRATCH, "emptyDir": {}}]
    claim = service.spec.model.volume_claim
    if claim is not None:
        source = {"claimName": claim.claim_name, "readOnly": True}
        volumes.append({"name": _MODEL, "persistentVolumeClaim": source})
    tls = service.spec.queue.redis.tls
    if tls is not None:
        source = {"secretName": tls.ca_secret_name, "items": [{"key": CA_KEY, "path": "ca.crt"}]}
        volumes.append({"name": _REDIS_CA, "secret": source})
    return volumes + [each.model_dump(mode="json", by_alias=True) for each in pool.template.volumes]


def _mounts(service: TranscriptionService, pool: Pool) -> list[dict[str, Any]]:
    # Everything that is written goes to /tmp: fetched audio, and what libraries keep in HOME.
    mounts: list[dict[str, Any]] = [{"name": _SCRATCH, "mountPath": SCRATCH_FOLDER}]
    claim = service.spec.model.volume_claim
    if claim is not None:
        mount: dict[str, Any] = {"name": _MODEL, "mountPath": MODEL_FOLDER, "readOnly": True}
        if claim.path:
            mount["subPath"] = claim.path
        mounts.append(mount)
    if service.spec.queue.redis.tls is not None:
        mounts.append({"name": _REDIS_CA, "mountPath": CA_FOLDER, "readOnly": True})
    theirs = pool.template.volume_mounts
    return mounts + [
        each.model_dump(mode="json", by_alias=True, exclude_none=True) for each in theirs
    ]

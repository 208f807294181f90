"""KEDA's objects: wake and sleep on the number of jobs that are not done."""

import re
from math import ceil
from typing import Any, Final

from whisperfleet.contract.keys import InputStream
from whisperfleet_operator.plan.actions import Manifest
from whisperfleet_operator.plan.metadata import child_metadata
from whisperfleet_operator.plan.needs import CA_KEY, PASSWORD_KEY, USERNAME_KEY
from whisperfleet_operator.plan.shares import Share
from whisperfleet_operator.resource.names import child_name
from whisperfleet_operator.resource.pools import Pool
from whisperfleet_operator.resource.service import TranscriptionService
from whisperfleet_operator.resource.spec import TranscriptionServiceSpec

__all__ = ["scaled_object", "trigger_authentication", "wanted_pods"]

_API_VERSION: Final = "keda.sh/v1alpha1"
_PAUSED_REPLICAS: Final = "autoscaling.keda.sh/paused-replicas"
# Unless its controller was told otherwise.
_TOLERANCE: Final = 1.1
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9]")


def scaled_object(service: TranscriptionService, pool: Pool, share: Share) -> Manifest:
    """Return the ScaledObject: one trigger a stream, and the pool's share of their sum.

    Without a consumer group a trigger's value is XLEN, what waits and what runs: the lag leaves out
    what runs. Several plain triggers would count as the largest of them.
    """
    spec, replicas = service.spec, pool.replicas
    metadata = child_metadata(service, pool)
    if spec.suspend:
        metadata["annotations"] = {_PAUSED_REPLICAS: "0"}
    triggers = _triggers(service, pool)
    advanced: dict[str, Any] = {
        "scalingModifiers": {
            "formula": share.formula(trigger["name"] for trigger in triggers),
            "target": str(spec.backlog_per_replica),
            "activationTarget": "0",
            "metricType": "AverageValue",
        }
    }
    if pool.behavior is not None:
        behavior = pool.behavior.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        advanced["horizontalPodAutoscalerConfig"] = {"behavior": behavior}
    return {
        "apiVersion": _API_VERSION,
        "kind": "ScaledObject",
        "metadata": metadata,
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": metadata["name"],
            },
            "minReplicaCount": replicas.min,
            "maxReplicaCount": replicas.max,
            "pollingInterval": spec.scaling.polling_seconds,
            "cooldownPeriod": spec.scaling.cooldown_seconds,
            # A ScaledObject that was made anew has no past: without this it would put a fleet that
            # waits for its next job to sleep at once.
            "initialCooldownPeriod": spec.scaling.cooldown_seconds,
            "advanced": advanced,
            "triggers": triggers,
        },
    }


def trigger_authentication(service: TranscriptionService, pool: Pool) -> Manifest | None:
    """Return what lets KEDA into Redis; None where everybody is let in."""
    references = _secret_references(service)
    if not references:
        return None
    return {
        "apiVersion": _API_VERSION,
        "kind": "TriggerAuthentication",
        "metadata": child_metadata(service, pool),
        "spec": {"secretTargetRef": references},
    }


def wanted_pods(spec: TranscriptionServiceSpec, pool: Pool, jobs: int, desired: int) -> int:
    """Return how many pods the autoscaler should ask for, where it asks for `desired` now.

    `jobs` are those of the pool's share.

    As a HorizontalPodAutoscaler works it out, which lets a tenth too much pass. Never fewer than
    `desired`: it may have its reasons.
    """
    if desired and jobs <= desired * spec.backlog_per_replica * _TOLERANCE:
        return desired
    return max(desired, min(pool.replicas.max, ceil(jobs / spec.backlog_per_replica)))


def _triggers(service: TranscriptionService, pool: Pool) -> list[dict[str, Any]]:
    address = service.redis
    common = {"address": address.host_port, "databaseIndex": str(address.database)}
    if address.tls:
        common["enableTLS"] = "true"
    triggers: list[dict[str, Any]] = [
        {
            "type": "redis-streams",
            "name": _trigger_name(stream),
            "metadata": {
                **common,
                "stream": stream.key,
                "streamLength": str(service.spec.backlog_per_replica),
            },
        }
        for stream in service.streams
    ]
    if _secret_references(service):
        reference = {"name": child_name(service.name, pool.name)}
        triggers = [trigger | {"authenticationRef": reference} for trigger in triggers]
    return triggers


def _trigger_name(stream: InputStream) -> str:
    """Return a name that the formula reads as one name: `a-b` would be a difference.

    No two streams have the same: a priority has no capital letter, and what a tenant's name has
    beside letters and digits is told by its code.
    """
    shared = f"in_{stream.priority.name.replace('-', '_')}"
    if stream.tenant is None:
        return shared
    return f"{shared}_T_{_NOT_IN_NAMES.sub(_code, stream.tenant)}"


def _code(found: re.Match[str]) -> str:
    return f"_{ord(found[0]):02x}"


def _secret_references(service: TranscriptionService) -> list[dict[str, str]]:
    redis = service.spec.queue.redis
    references = []
    if redis.credentials is not None:
        name = redis.credentials.secret_name
        references += [
            {"parameter": "username", "name": name, "key": USERNAME_KEY},
            {"parameter": "password", "name": name, "key": PASSWORD_KEY},
        ]
    if redis.tls is not None:
        references.append({"parameter": "ca", "name": redis.tls.ca_secret_name, "key": CA_KEY})
    return references

"""Transcription services to test with, as a person writes them and as the operator reads them."""

import copy
from pathlib import Path
from typing import Any

import yaml

from whisperfleet_operator.plan import Credentials, Observed, Plan, make_plan
from whisperfleet_operator.resource import TranscriptionService

SAMPLES = Path(__file__).parents[3] / "docs" / "samples"
UID = "0c4e3b4e-1d5d-4a55-9b8e-6f6f6f6f6f6f"


def minimal() -> dict[str, Any]:
    """The sample of ten lines."""
    sample: dict[str, Any] = yaml.safe_load((SAMPLES / "minimal.yaml").read_text("utf-8"))
    return sample


def full() -> dict[str, Any]:
    """One that says everything that can be said."""
    return {
        "apiVersion": "whisperfleet.io/v1alpha1",
        "kind": "TranscriptionService",
        "metadata": {"name": "calls"},
        "spec": {
            "suspend": True,
            "model": {
                "name": "large-v3-turbo",
                "image": "registry.example:5000/worker:0.1.0@sha256:" + "0" * 64,
                "source": {"volumeClaim": {"claimName": "models", "path": "large/turbo"}},
                "computeType": "int8_float16",
            },
            "queue": {
                "id": "team-a.calls",
                "redis": {
                    "url": "rediss://redis.example.org:6380/3",
                    "credentials": {"secretName": "redis"},
                    "tls": {"caSecretName": "redis-ca"},
                },
                "priorities": [{"name": "now", "weight": 9}, {"name": "over-night", "weight": 1}],
                "tenants": ["globex", "acme-eu"],
                "leaseSeconds": 30,
                "maxDeliveries": 5,
                "maxReleases": 20,
                "deadLetters": {"retentionSeconds": 7200, "maxLength": 50},
            },
            "input": {
                "maxBytes": 1000,
                "maxAudioSeconds": 60,
                "allowedHosts": ["*.example.org", "clips.example.com"],
                "allowedNetworks": ["10.20.0.0/16", "fd12::/48"],
                "allowHttp": True,
            },
            "decoding": {"beamSize": 1, "vad": False, "segmentation": "Sequential"},
            "results": {"retentionSeconds": 3600},
            "scaling": {
                "target": {"backlogPerReplica": 16},
                "pollingSeconds": 1,
                "cooldownSeconds": 300,
                "startupSeconds": 61,
                "wakeAfterSeconds": 45,
            },
            "worker": {
                "device": "cuda",
                "maxInFlight": 16,
                "jobTimeoutSeconds": 600,
                "drainSeconds": 30,
                "resources": {
                    "requests": {"cpu": 2, "memory": "4Gi"},
                    "limits": {"memory": "8Gi"},
                },
            },
            "pools": [
                {
                    "name": "spot",
                    "replicas": {"min": 1, "max": 8},
                    "gpu": {
                        "preset": "aks-t4",
                        "resource": "nvidia.com/gpu",
                        "count": 2,
                        "runtimeClassName": "nvidia",
                    },
                    "nodeSelector": {"team": "a"},
                    "tolerations": [
                        {"key": "team", "operator": "Equal", "value": "a", "effect": "NoSchedule"},
                        {
                            "key": "spot",
                            "operator": "Exists",
                            "effect": "NoExecute",
                            "tolerationSeconds": 0,
                        },
                    ],
                    "behavior": {
                        "scaleUp": {
                            "stabilizationWindowSeconds": 0,
                            "selectPolicy": "Max",
                            "policies": [{"type": "Pods", "value": 4, "periodSeconds": 15}],
                        },
                        "scaleDown": {
                            "stabilizationWindowSeconds": 60,
                            "selectPolicy": "Min",
                            "policies": [{"type": "Percent", "value": 50, "periodSeconds": 60}],
                        },
                    },
                    "template": {
                        "annotations": {"example.org/team": "a"},
                        "labels": {"example.org/cost": "b"},
                        "env": [
                            {"name": "WHISPERFLEET_LOG_LEVEL", "value": "debug"},
                            {"name": "EMPTY", "value": ""},
                            {
                                "name": "TOKEN",
                                "valueFrom": {"secretKeyRef": {"name": "more", "key": "token"}},
                            },
                        ],
                        "volumes": [{"name": "more", "emptyDir": {"sizeLimit": "1Gi"}}],
                        "volumeMounts": [
                            {
                                "name": "more",
                                "mountPath": "/more",
                                "subPath": "here",
                                "readOnly": True,
                            }
                        ],
                        "imagePullSecrets": [{"name": "registry"}],
                        "priorityClassName": "batch",
                    },
                }
            ],
        },
    }


def changed(resource: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a copy in which the field at a path such as ``spec.pools.0.name`` has the value.

    None takes the field away.
    """
    copied = copy.deepcopy(resource)
    *above, last = path.split(".")
    part: Any = copied
    for step in above:
        part = part[int(step)] if isinstance(part, list) else part.setdefault(step, {})
    if value is None:
        del part[last]
    else:
        part[int(last) if isinstance(part, list) else last] = value
    return copied


def read(
    resource: dict[str, Any], namespace: str = "team-a", uid: str = UID
) -> TranscriptionService:
    """Return the service as the operator reads it from the API server."""
    copied = copy.deepcopy(resource)
    copied["metadata"] |= {"namespace": namespace, "uid": uid, "generation": 1}
    return TranscriptionService.from_object(copied)


def planned(service: TranscriptionService, digest: str | None) -> Plan:
    """Return the plan where nothing is there yet; every pool runs with these credentials."""
    credentials = {pool.name: Credentials(digest) for pool in service.spec.pools}
    return make_plan(service, Observed(credentials=credentials))

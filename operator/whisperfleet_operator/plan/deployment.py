"""The Deployment of a pool; how many pods it has is the autoscaler's alone.

A Deployment that is applied without `replicas` starts with one pod, so each first apply would buy a
GPU node; one that is applied with 0, and later without it, goes back to one. So it is first POSTed
with 0 by a manager of its own, and what is applied afterwards never mentions the number.
"""

from typing import Final

from whisperfleet_operator.plan.actions import Credentials, Manifest
from whisperfleet_operator.plan.metadata import child_metadata
from whisperfleet_operator.plan.pod import DRAIN_MARGIN_SECONDS, least_pod_template, pod_template
from whisperfleet_operator.resource.names import SAME_CREDENTIALS_ANNOTATION, pod_selector
from whisperfleet_operator.resource.pools import Pool
from whisperfleet_operator.resource.service import TranscriptionService

__all__ = ["deployment", "empty_deployment"]

_API_VERSION: Final = "apps/v1"
_KIND: Final = "Deployment"


def deployment(service: TranscriptionService, pool: Pool, credentials: Credentials) -> Manifest:
    """Return the Deployment to apply."""
    worker, scaling = service.spec.worker, service.spec.scaling
    metadata = child_metadata(service, pool)
    if credentials.same_as is not None:
        metadata["annotations"] = {SAME_CREDENTIALS_ANNOTATION: credentials.same_as}
    return {
        "apiVersion": _API_VERSION,
        "kind": _KIND,
        "metadata": metadata,
        "spec": {
            "selector": {"matchLabels": pod_selector(service.name, pool.name)},
            # A surge would wait for a GPU that its predecessor holds.
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1},
            },
            # One pod goes, and the next one comes.
            "progressDeadlineSeconds": (
                worker.drain_seconds + DRAIN_MARGIN_SECONDS + scaling.startup_seconds
            ),
            "template": pod_template(service, pool, credentials.digest),
        },
    }


def empty_deployment(service: TranscriptionService, pool: Pool) -> Manifest:
    """Return the Deployment to POST where there is none: no pods, and no more than must be said.

    What is said here belongs to the creating manager too, so that dropping it from the applied
    object would not remove it. All of it stays for ever, but for the image, which apply takes over.
    """
    return {
        "apiVersion": _API_VERSION,
        "kind": _KIND,
        "metadata": child_metadata(service, pool),
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": pod_selector(service.name, pool.name)},
            "template": least_pod_template(service, pool),
        },
    }

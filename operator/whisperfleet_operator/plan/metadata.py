"""The metadata that all children share."""

from typing import Any

from whisperfleet_operator.resource.names import child_labels, child_name
from whisperfleet_operator.resource.pools import Pool
from whisperfleet_operator.resource.service import TranscriptionService

__all__ = ["child_metadata"]


def child_metadata(service: TranscriptionService, pool: Pool) -> dict[str, Any]:
    """Return name, labels and owner of a child of `pool`."""
    return {
        "name": child_name(service.name, pool.name),
        "namespace": service.namespace,
        "labels": child_labels(service.name, pool.name),
        "ownerReferences": [service.owner_reference],
    }

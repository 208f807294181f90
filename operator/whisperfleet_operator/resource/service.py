"""A TranscriptionService as it is read from the API server."""

from collections.abc import Mapping
from typing import Any, Self

from whisperfleet.contract.keys import Keys
from whisperfleet_operator.resource.base import Part
from whisperfleet_operator.resource.names import (
    API_VERSION,
    KIND,
    RECONCILE_ANNOTATION,
    RECONCILE_DISABLED,
)
from whisperfleet_operator.resource.redis_address import RedisAddress
from whisperfleet_operator.resource.spec import TranscriptionServiceSpec

__all__ = ["Metadata", "TranscriptionService"]


class Metadata(Part):
    """The part of an object's metadata that the operator reads."""

    name: str
    namespace: str
    uid: str
    generation: int = 1
    annotations: Mapping[str, str] = {}


class TranscriptionService(Part):
    """What was applied, and to what."""

    metadata: Metadata
    spec: TranscriptionServiceSpec

    @classmethod
    def from_object(cls, resource: Mapping[str, Any]) -> Self:
        """Read the JSON of the API server.

        Raises pydantic.ValidationError for what this version's schema would refuse: the object was
        let in by another one.
        """
        return cls.model_validate(resource)

    @property
    def name(self) -> str:
        """The service's name in its namespace."""
        return self.metadata.name

    @property
    def namespace(self) -> str:
        """The namespace of the service and of all that belongs to it."""
        return self.metadata.namespace

    @property
    def keys(self) -> Keys:
        """The names of the service's queue in Redis."""
        return Keys(self.spec.queue.id or f"{self.namespace}.{self.name}")

    @property
    def redis(self) -> RedisAddress:
        """Where the queue is, under a name that every namespace understands."""
        return RedisAddress.parse(self.spec.queue.redis.url, self.namespace)

    @property
    def is_reconcile_disabled(self) -> bool:
        """Whether the annotation forbids the operator to change anything."""
        return self.metadata.annotations.get(RECONCILE_ANNOTATION) == RECONCILE_DISABLED

    @property
    def owner_reference(self) -> dict[str, Any]:
        """What a child carries, so that it is deleted with the service.

        Without `blockOwnerDeletion`, which would ask of the operator the right to change the
        service's finalizers.
        """
        return {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": self.name,
            "uid": self.metadata.uid,
            "controller": True,
        }

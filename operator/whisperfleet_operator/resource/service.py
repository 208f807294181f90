"""A TranscriptionService as it is read from the API server."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

from whisperfleet.contract.keys import InputStream, Keys, Priority
from whisperfleet_operator.resource.base import Part
from whisperfleet_operator.resource.names import (
    API_VERSION,
    KIND,
    RECONCILE_ANNOTATION,
    RECONCILE_DISABLED,
)
from whisperfleet_operator.resource.pools import Pool
from whisperfleet_operator.resource.redis_address import RedisAddress
from whisperfleet_operator.resource.spec import TranscriptionServiceSpec
from whisperfleet_operator.resource.status import TranscriptionServiceStatus

__all__ = ["Metadata", "TranscriptionService"]


class Metadata(Part):
    """The part of an object's metadata that the operator reads."""

    name: str
    namespace: str
    uid: str
    generation: int = 1
    annotations: Mapping[str, str] = {}


class TranscriptionService(Part):
    """What was applied, and to what.

    `former_tenants` were taken out of the spec, and their streams may still hold jobs.
    """

    metadata: Metadata
    spec: TranscriptionServiceSpec
    former_tenants: tuple[str, ...] = ()

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

    def spec_of(self, pool: Pool) -> TranscriptionServiceSpec:
        """Return the spec as it holds for `pool`: what a pool says itself replaces the service's.

        That goes for every part of a pool that has the name of a part of the spec.
        """
        shared = type(self.spec).model_fields.keys() & type(pool).model_fields.keys()
        own = {name: value for name in shared if (value := getattr(pool, name)) is not None}
        return self.spec.model_copy(update=own) if own else self.spec

    def for_pool(self, pool: Pool) -> Self:
        """Return the service with the spec that holds for `pool`."""
        return self.model_copy(update={"spec": self.spec_of(pool)})

    @property
    def keys(self) -> Keys:
        """The names of the service's queue in Redis."""
        return Keys(self.spec.queue.id or f"{self.namespace}.{self.name}")

    @property
    def tenants(self) -> tuple[str, ...]:
        """Who has streams of its own, those included that were taken out of the spec.

        In an order that does not depend on the spec's: another one would roll the workers.
        """
        return tuple(sorted({*self.spec.queue.tenants, *self.former_tenants}))

    @property
    def streams(self) -> tuple[InputStream, ...]:
        """Every stream that takes jobs of this service."""
        priorities = [Priority(each.name, each.weight) for each in self.spec.queue.priorities]
        return self.keys.streams(priorities, self.tenants)

    def serving(self, former_tenants: tuple[str, ...]) -> Self:
        """Return the service with these tenants beside those of the spec."""
        return self.model_copy(update={"former_tenants": former_tenants})

    def former_tenants_of(self, status: TranscriptionServiceStatus) -> tuple[str, ...]:
        """Return the tenants that `status` has streams of and the spec names no more."""
        streams = status.queue.streams if status.queue is not None else ()
        known = dict.fromkeys(stream.tenant for stream in streams if stream.tenant is not None)
        return tuple(tenant for tenant in known if tenant not in self.spec.queue.tenants)

    def former_tenants_with_jobs(self, lengths: Sequence[int]) -> tuple[str, ...]:
        """Return the former tenants whose streams hold jobs; `lengths` are those of `streams`."""
        holding = {
            stream.tenant for stream, length in zip(self.streams, lengths, strict=True) if length
        }
        return tuple(tenant for tenant in self.former_tenants if tenant in holding)

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

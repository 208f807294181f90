"""What the operator says about a service: `status`, as values and as the schema's source."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field, PlainSerializer, WithJsonSchema

from whisperfleet_operator.resource.base import DnsLabel, Part, keyed_by
from whisperfleet_operator.resource.conditions import ConditionStatus, ConditionType, Reason

__all__ = [
    "Condition",
    "PoolStatus",
    "QueueStatus",
    "StreamStatus",
    "Timestamp",
    "TranscriptionServiceStatus",
]

MAX_MESSAGE = 32_768


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Timestamp = Annotated[datetime, PlainSerializer(_rfc3339, return_type=str, when_used="json")]
"""A moment in whole seconds, as Kubernetes writes them. Aware of its time zone."""

_Count = Annotated[int, Field(ge=0)]
_Message = Annotated[str, Field(max_length=MAX_MESSAGE)]
# The schema leaves the words open: a newer operator may say more than an older CRD knew.
_WORD = {"type": "string", "maxLength": 64, "pattern": "^[A-Za-z][A-Za-z0-9]*$"}
_Type = Annotated[ConditionType, WithJsonSchema(_WORD)]
_Reason = Annotated[Reason, WithJsonSchema(_WORD)]


class Condition(Part):
    """One aspect of the service's state."""

    type: _Type
    """The aspect: Ready, QueueReachable, QueueDurable, AutoscalerReady, WorkersAvailable or
    Degraded."""
    status: ConditionStatus
    """True, False or Unknown."""
    reason: _Reason
    """The cause as one CamelCase word, for programs."""
    message: _Message
    """The cause as a sentence, for people, with what to do about it."""
    last_transition_time: Timestamp
    """When `status` last changed."""
    observed_generation: _Count
    """The generation of the spec that the condition is about."""


class StreamStatus(Part):
    """One stream of the queue."""

    name: Annotated[str, Field(max_length=512)]
    """The stream's key in Redis, to which a producer adds jobs with XADD."""
    priority: DnsLabel
    """The priority of its jobs."""
    tenant: Annotated[str, Field(max_length=63)] | None = None
    """The tenant whose own stream it is. Absent: it is shared. A tenant that `spec.queue.tenants`
    no longer names is listed while its streams hold jobs."""


class QueueStatus(Part):
    """The queue, as it was at `sampledTime`."""

    streams: Annotated[tuple[StreamStatus, ...], Field(max_length=1024), keyed_by("name")] = ()
    """The streams that jobs are added to."""
    queued: _Count | None = None
    """Jobs that wait for a worker."""
    running: _Count | None = None
    """Jobs that a worker holds and whose lease it renews."""
    dead_letters: _Count | None = None
    """Dead letters, which need a person: `whisperfleet dlq list` shows them."""
    oldest_enqueue_time: Timestamp | None = None
    """When the oldest waiting job was sent. Absent when no job waits."""
    sampled_time: Timestamp | None = None
    """When these numbers were read."""


class PoolStatus(Part):
    """The workers of one pool."""

    name: DnsLabel
    """The pool's name in the spec."""
    desired: _Count = 0
    """Pods that the autoscaler asks for."""
    ready: _Count = 0
    """Pods that are ready."""
    reason: _Reason | None = None
    """What the pool does, or what it waits for, as one word."""
    message: _Message | None = None
    """The same as a sentence, where there is more to say."""
    woken_time: Timestamp | None = None
    """When the operator started a pod itself because the autoscaler did not. Absent once the
    autoscaler works again."""


class TranscriptionServiceStatus(Part):
    """The service's state as the operator last observed it."""

    observed_generation: _Count | None = None
    """The generation of the spec that this status is about."""
    conditions: Annotated[tuple[Condition, ...], Field(max_length=16), keyed_by("type")] = ()
    """The conditions, one of each type. A service scaled to zero is Ready, with the reason Idle."""
    model: Annotated[str, Field(max_length=256)] | None = None
    """The model that runs, by its name, or the image's tag where there is none; several during a
    rollout, the oldest first. While no pod works, the one that would."""
    replicas: Annotated[str, Field(max_length=32)] | None = None
    """Pods that work, of those that the autoscaler asks for: 2/3."""
    queue: QueueStatus | None = None
    """The queue."""
    pools: Annotated[tuple[PoolStatus, ...], Field(max_length=8), keyed_by("name")] = ()
    """The pools, in the spec's order."""

    def to_object(self) -> dict[str, Any]:
        """Return the status as JSON, without the fields that say nothing."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

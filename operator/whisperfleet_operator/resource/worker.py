"""`spec.worker`: what each pod does at once, and for how long."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from whisperfleet_operator.resource.base import Part, Quantity
from whisperfleet_operator.resource.settings import declared, with_settings
from whisperfleet_operator.resource.template import LabelKey

__all__ = ["Device", "Resources", "WorkerSpec"]


class Device(StrEnum):
    """What a worker computes on."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Resources(Part):
    """What the scheduler reserves for a worker, and what it may take; the GPU comes by itself."""

    requests: Annotated[Mapping[LabelKey, Quantity], Field(max_length=16)] = {}
    """What is reserved."""
    limits: Annotated[Mapping[LabelKey, Quantity], Field(max_length=16)] = {}
    """What is never exceeded."""


@with_settings("worker")
class WorkerSpec(Part):
    """What each pod does at once, and for how long."""

    device: Device | None = declared("worker.device")
    max_in_flight: int | None = declared("worker.maxInFlight")
    job_timeout_seconds: int = declared("worker.jobTimeoutSeconds")
    drain_seconds: int = declared("worker.drainSeconds")
    resources: Resources = Resources()
    """Processor time and memory of each pod."""

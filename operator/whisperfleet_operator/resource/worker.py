"""`spec.worker`: what each pod does at once, and for how long."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from whisperfleet_operator.resource.base import Part, Quantity
from whisperfleet_operator.resource.template import LabelKey

__all__ = ["OWN_IN_FLIGHT", "Device", "Resources", "WorkerSpec"]

# The most that a worker holds by itself: two batches of the largest GPU.
OWN_IN_FLIGHT: Final = 64


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


class WorkerSpec(Part):
    """What each pod does at once, and for how long."""

    device: Device | None = None
    """What the model runs on: cuda, which fails without a GPU, cpu, or auto. Absent: cuda in a pool
    with a GPU, else cpu."""
    max_in_flight: Annotated[int, Field(ge=1, le=256)] | None = None
    """Jobs that a worker holds at once. Absent: two batches of its device, 32 jobs on a CPU and up
    to 64 on a GPU."""
    job_timeout_seconds: Annotated[int, Field(ge=1, le=604_800)] = 7200
    """After that a job fails, in seconds."""
    drain_seconds: Annotated[int, Field(ge=5, le=3600)] = 90
    """What a worker has between its notice to go and its end, in seconds: it finishes what fits,
    and hands the rest back."""
    resources: Resources = Resources()
    """Processor time and memory of each pod."""

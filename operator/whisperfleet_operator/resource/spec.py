"""`spec`: what a service asks for."""

from enum import StrEnum
from ipaddress import ip_network
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from whisperfleet.settings import OWN_IN_FLIGHT
from whisperfleet_operator.resource.base import Part, Rule, checked_by, keyed_by, rules_schema
from whisperfleet_operator.resource.model import ModelSpec
from whisperfleet_operator.resource.pools import Pool
from whisperfleet_operator.resource.queue import QueueSpec
from whisperfleet_operator.resource.settings import declared, with_settings
from whisperfleet_operator.resource.worker import WorkerSpec

__all__ = [
    "DecodingSpec",
    "InputSpec",
    "ResultsSpec",
    "ScalingSpec",
    "ScalingTarget",
    "Segmentation",
    "TranscriptionServiceSpec",
]


_IS_NETWORK = Rule(
    "isCIDR(self)",
    "input.allowedNetworks names something that is no network: write an address and a length, such "
    "as 10.20.0.0/16",
)


def _first_address(network: str) -> str:
    """Return a network by its first address, as workers want it: 10.20.0.7/16 as 10.20.0.0/16."""
    return str(ip_network(network, strict=False))


@with_settings("input")
class InputSpec(Part):
    """Which audio a job may fetch, and how much of it."""

    max_bytes: int = declared("input.maxBytes")
    max_audio_seconds: int = declared("input.maxAudioSeconds")
    allowed_hosts: tuple[
        Annotated[
            str,
            StringConstraints(max_length=253, pattern=r"^(\*\.)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"),
        ],
        ...,
    ] = declared("input.allowedHosts", max_length=64)
    allowed_networks: tuple[
        Annotated[
            str,
            AfterValidator(_first_address),
            Field(max_length=43, json_schema_extra=rules_schema(_IS_NETWORK)),
        ],
        ...,
    ] = declared("input.allowedNetworks", max_length=64)
    allow_http: bool = declared("input.allowHttp")


class Segmentation(StrEnum):
    """How long audio is divided into windows of at most 30 s."""

    PARALLEL = "Parallel"
    SEQUENTIAL = "Sequential"


def _segmentation(worker: str) -> Segmentation:
    return Segmentation(worker.capitalize())


@with_settings("decoding")
class DecodingSpec(Part):
    """How speech is recognised."""

    beam_size: int = declared("decoding.beamSize")
    vad: bool = declared("decoding.vad")
    segmentation: Segmentation = declared("decoding.segmentation", _segmentation)


@with_settings("results")
class ResultsSpec(Part):
    """How results are kept."""

    retention_seconds: int = declared("results.retentionSeconds")


class ScalingTarget(Part):
    """How much work one pod is to have. Exactly one member."""

    backlog_per_replica: Annotated[int, Field(ge=1, le=1_000_000)]
    """The number of jobs, waiting or running, for each pod. At least worker.maxInFlight, or 64
    where that is absent: otherwise the jobs that busy pods hold would ask for more pods."""


class ScalingSpec(Part):
    """When pods are added and removed."""

    target: ScalingTarget | None = None
    """How much work one pod is to have. Absent: twice worker.maxInFlight jobs, or 64 where that is
    absent too."""
    polling_seconds: Annotated[int, Field(ge=1, le=3600)] = 5
    """How often KEDA reads the length of the queue while no pod runs, in seconds."""
    cooldown_seconds: Annotated[int, Field(ge=2, le=86_400)] = 600
    """How long the queue must be empty before the last pod is removed, in seconds."""
    startup_seconds: Annotated[int, Field(ge=1, le=14_400)] = 420
    """How long a pod may take from its creation until it is ready, in seconds: for a node, the
    image and the model. A worker that takes longer to load its model is restarted."""
    wake_after_seconds: Annotated[int, Field(ge=1, le=86_400)] = 30
    """How long jobs may wait without a pod while the autoscaler does nothing or fails, in seconds.
    After that the operator starts one pod itself and leaves the rest to the autoscaler."""


class TranscriptionServiceSpec(Part):
    """What the service is to be."""

    # Here, and not in the parts: the API server judges a part's default by the part's own rules
    # before it fills in the defaults of its fields.
    model_config = checked_by(
        Rule(
            "self.scaling.cooldownSeconds > self.scaling.startupSeconds",
            "scaling.cooldownSeconds must be above scaling.startupSeconds, or a pod would be "
            "removed while its model still loads: raise cooldownSeconds, or lower startupSeconds",
        ),
        Rule(
            "!has(self.scaling.target) || !has(self.worker.maxInFlight) || "
            "self.scaling.target.backlogPerReplica >= self.worker.maxInFlight",
            "scaling.target.backlogPerReplica is below worker.maxInFlight, so pods would ask for "
            "more pods by the jobs they already hold: raise the one, or lower the other",
        ),
        Rule(
            "!has(self.scaling.target) || has(self.worker.maxInFlight) || "
            f"self.scaling.target.backlogPerReplica >= {OWN_IN_FLIGHT}",
            f"scaling.target.backlogPerReplica is below {OWN_IN_FLIGHT}, which a worker may hold "
            "by itself, so busy pods would ask for more pods: set worker.maxInFlight to at most "
            "the target, or raise the target",
        ),
        Rule(
            "!has(self.worker.device) || self.worker.device != 'cpu' || "
            "!self.pools.exists(p, has(p.gpu))",
            "worker.device is cpu, but a pool takes GPUs that no worker would use: drop its gpu, "
            "or worker.device",
        ),
        *(
            Rule(
                f"!has(self.worker.resources) || !has(self.worker.resources.{amounts}) || "
                f"!self.pools.exists(p, has(p.gpu) && "
                f"p.gpu.resource in self.worker.resources.{amounts})",
                f"worker.resources.{amounts} names the GPU, which has its own place: say it in "
                "pools[].gpu alone",
            )
            for amounts in ("requests", "limits")
        ),
    )

    suspend: bool = False
    """Scales the service to zero pods on purpose, while the queue still accepts jobs."""
    model: ModelSpec
    """Which model, in which image."""
    queue: QueueSpec
    """The queue that jobs come from."""
    input: InputSpec = InputSpec()
    """Which audio a job may fetch, and how much of it."""
    decoding: DecodingSpec = DecodingSpec()
    """How speech is recognised."""
    results: ResultsSpec = ResultsSpec()
    """How results are kept."""
    scaling: ScalingSpec = ScalingSpec()
    """When pods are added and removed."""
    worker: WorkerSpec = WorkerSpec()
    """How each pod works: device, number of jobs at once, time limits, resources."""
    pools: Annotated[tuple[Pool, ...], Field(min_length=1, max_length=1), keyed_by("name")]
    """Which pods run, how many, and on which nodes. Exactly one pool in this version."""

    @property
    def backlog_per_replica(self) -> int:
        """Jobs for each pod, as the autoscaler counts them."""
        if self.scaling.target is not None:
            return self.scaling.target.backlog_per_replica
        in_flight = self.worker.max_in_flight
        return OWN_IN_FLIGHT if in_flight is None else 2 * in_flight

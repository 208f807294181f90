"""`spec.pools`: which pods, how many, on which nodes."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from whisperfleet_operator.resource.base import (
    DnsLabel,
    ObjectName,
    Part,
    Rule,
    checked_by,
    rules_schema,
)
from whisperfleet_operator.resource.template import (
    KEYS_ARE_QUALIFIED,
    QUALIFIED_NAME,
    LabelKey,
    LabelValue,
    Template,
)

__all__ = ["Behavior", "Gpu", "GpuPreset", "Pool", "Replicas", "ScalingRules", "Toleration"]


class GpuPreset(StrEnum):
    """A GPU of a managed Kubernetes; `plan.gpu_nodes` knows where it is found."""

    EKS_T4 = "eks-t4"
    EKS_A10G = "eks-a10g"
    EKS_L4 = "eks-l4"
    EKS_L40S = "eks-l40s"
    GKE_T4 = "gke-t4"
    GKE_L4 = "gke-l4"
    GKE_A100 = "gke-a100"
    GKE_A100_80GB = "gke-a100-80gb"
    GKE_H100 = "gke-h100"
    AKS_T4 = "aks-t4"
    AKS_A100 = "aks-a100"
    AKS_H100 = "aks-h100"


class Gpu(Part):
    """The GPU of each pod, and where it is found."""

    preset: GpuPreset | None = None
    """Selects the nodes of a cloud's GPU node pools and tolerates their usual taints: eks-t4 the
    instances g4dn, eks-a10g g5, eks-l4 g6, eks-l40s g6e; aks-t4 the sizes NCas_T4_v3, aks-a100
    NC_ads_A100_v4, aks-h100 NC_H100_v5; gke-* the accelerator of that name. Absent: any node that
    has the resource."""
    resource: Annotated[
        str, StringConstraints(max_length=128, pattern=r"^[a-z0-9.-]+/[A-Za-z0-9_.-]+$")
    ] = "nvidia.com/gpu"
    """The resource that the device plugin advertises; a taint of the same key is tolerated."""
    count: Annotated[int, Field(ge=1, le=16)] = 1
    """The number of GPUs of a pod. A worker uses one: choose more pods rather than more GPUs
    each."""
    runtime_class_name: ObjectName | None = None
    """The RuntimeClass of the pods, where the cluster needs one for GPUs (often `nvidia`)."""


class Toleration(Part):
    """A taint that the pods tolerate."""

    model_config = checked_by(
        Rule(
            "has(self.key) || self.operator == 'Exists'",
            "a toleration has neither a key nor the operator Exists: name the taint's key, or set "
            "operator to Exists to tolerate every taint",
        ),
        Rule(
            "!has(self.value) || self.operator == 'Equal'",
            "a toleration with the operator Exists has a value: drop it, or set operator to Equal",
        ),
        Rule(
            "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            "a toleration has tolerationSeconds, but not the effect NoExecute: set that effect, or "
            "drop the seconds",
        ),
    )

    key: Annotated[LabelKey, StringConstraints(pattern=QUALIFIED_NAME)] | None = None
    """The taint's key. Absent, with the operator Exists: every taint."""
    operator: Literal["Equal", "Exists"] = "Equal"
    """Equal compares key and value, Exists only the key."""
    value: LabelValue | None = None
    """The taint's value."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """The taint's effect. Absent: every effect."""
    toleration_seconds: Annotated[int, Field(ge=0)] | None = None
    """With the effect NoExecute: how long a pod stays after the taint appears, in seconds. Absent:
    without limit."""


class ScalingPolicy(Part):
    """A limit on the change within a period."""

    type: Literal["Pods", "Percent"]
    """Whether `value` counts pods or percents of them."""
    value: Annotated[int, Field(ge=1)]
    """The largest change within `periodSeconds`."""
    period_seconds: Annotated[int, Field(ge=1, le=1800)]
    """The length of the period, in seconds."""


class ScalingRules(Part):
    """How fast the autoscaler may add or remove pods, as in autoscaling/v2."""

    stabilization_window_seconds: Annotated[int, Field(ge=0, le=3600)] | None = None
    """How far back the autoscaler considers its recommendations, in seconds, to take the most
    cautious one. Absent: 0 for scaling up, 300 for scaling down."""
    select_policy: Literal["Max", "Min", "Disabled"] | None = None
    """Which of several policies applies. Disabled forbids scaling in this direction."""
    policies: Annotated[tuple[ScalingPolicy, ...], Field(max_length=8)] = ()
    """The limits; none: the autoscaler's own."""


class Behavior(Part):
    """How fast the autoscaler adds and removes pods, between 1 and `replicas.max`."""

    scale_up: ScalingRules | None = None
    """Adding pods."""
    scale_down: ScalingRules | None = None
    """Removing pods. The last one goes after `scaling.cooldownSeconds`, whatever stands here."""


_MAX_MISSING = (
    "replicas.max is missing: say how many pods, and so how many GPUs, this pool may ever have"
)


class Replicas(Part):
    """How many pods there may be."""

    model_config = checked_by(
        Rule("has(self.max)", _MAX_MISSING),
        Rule(
            "!has(self.max) || self.max >= self.min",
            "replicas.max is below replicas.min: raise max, or lower min",
        ),
    )

    min: Annotated[int, Field(ge=0, le=10_000)] = 0
    """The number of pods that run even without work. 0 lets the pool scale to zero."""
    max: Annotated[int, Field(ge=1, le=10_000)]
    """The largest number of pods, however long the queue is. Required: it limits the cost."""


class Pool(Part):
    """Pods of one kind that process the service's queue."""

    model_config = checked_by(Rule("has(self.replicas)", _MAX_MISSING))

    name: Annotated[DnsLabel, Field(max_length=40)]
    """The pool's name. Its objects are named `<service>-<pool>`."""
    replicas: Replicas
    """How many pods there may be."""
    gpu: Gpu | None = None
    """The GPU of each pod. Absent: the pods compute on the CPU."""
    node_selector: Annotated[
        Mapping[LabelKey, LabelValue],
        Field(max_length=32, json_schema_extra=rules_schema(KEYS_ARE_QUALIFIED)),
    ] = {}
    """Labels that a node must have, in addition to those of the preset. Where both set a label,
    this one applies."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32)] = ()
    """Taints that the pods tolerate, in addition to those of the preset."""
    behavior: Behavior | None = None
    """How fast the autoscaler adds and removes pods. Absent: the defaults of Kubernetes."""
    template: Template = Template()
    """What the pods have in addition to what the operator sets."""

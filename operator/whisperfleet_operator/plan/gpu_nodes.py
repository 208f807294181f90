"""Where each preset's GPUs are found: the labels and taints that the clouds document.

- EKS and AKS: `node.kubernetes.io/instance-type`, the one label that every way to make a node there
  sets (managed node groups, Karpenter, Auto Mode; Amazon EKS user guide, "Target AI/ML workloads to
  specific nodes with labels"). AKS's guide to GPUs taints their pools with `sku=gpu:NoSchedule`.
- GKE: `cloud.google.com/gke-accelerator`; it taints GPU nodes with `nvidia.com/gpu=present`.

A taint whose key is the resource is tolerated with or without a preset, as the admission plugin
ExtendedResourceToleration would.
"""

from dataclasses import dataclass
from typing import Any, Final

from whisperfleet_operator.resource.pools import Gpu, GpuPreset, Pool, Toleration

__all__ = ["NODES", "GpuNodes", "placement"]

_INSTANCE_TYPE: Final = "node.kubernetes.io/instance-type"
_ACCELERATOR: Final = "cloud.google.com/gke-accelerator"

_AKS_TAINT: Final = Toleration(key="sku", operator="Equal", value="gpu", effect="NoSchedule")


@dataclass(frozen=True, slots=True)
class GpuNodes:
    """Nodes whose label `key` has one of `values`, and which may be tainted with `taints`."""

    key: str
    values: tuple[str, ...]
    taints: tuple[Toleration, ...] = ()


def _eks(family: str, sizes: str) -> GpuNodes:
    return GpuNodes(_INSTANCE_TYPE, tuple(f"{family}.{size}" for size in sizes.split()))


def _gke(accelerator: str) -> GpuNodes:
    return GpuNodes(_ACCELERATOR, (accelerator,))


def _aks(*sizes: str) -> GpuNodes:
    return GpuNodes(_INSTANCE_TYPE, tuple(f"Standard_{size}" for size in sizes), (_AKS_TAINT,))


_TO_48XLARGE: Final = "xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 48xlarge"

NODES: Final = {
    GpuPreset.EKS_T4: _eks("g4dn", "xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge metal"),
    GpuPreset.EKS_A10G: _eks("g5", _TO_48XLARGE),
    GpuPreset.EKS_L4: _eks("g6", _TO_48XLARGE),
    GpuPreset.EKS_L40S: _eks("g6e", _TO_48XLARGE),
    GpuPreset.GKE_T4: _gke("nvidia-tesla-t4"),
    GpuPreset.GKE_L4: _gke("nvidia-l4"),
    GpuPreset.GKE_A100: _gke("nvidia-tesla-a100"),
    GpuPreset.GKE_A100_80GB: _gke("nvidia-a100-80gb"),
    GpuPreset.GKE_H100: _gke("nvidia-h100-80gb"),
    GpuPreset.AKS_T4: _aks("NC4as_T4_v3", "NC8as_T4_v3", "NC16as_T4_v3", "NC64as_T4_v3"),
    GpuPreset.AKS_A100: _aks("NC24ads_A100_v4", "NC48ads_A100_v4", "NC96ads_A100_v4"),
    GpuPreset.AKS_H100: _aks("NC40ads_H100_v5", "NC80adis_H100_v5"),
}


def placement(pool: Pool) -> dict[str, Any]:
    """Return the fields of a pod that decide on which nodes it may run.

    The pool's own node selector wins where it names the label that the preset selects by.
    """
    selector = dict(pool.node_selector)
    tolerations = list(pool.tolerations)
    fields: dict[str, Any] = {}
    if pool.gpu is not None:
        tolerations += _gpu_tolerations(pool.gpu)
        nodes = NODES[pool.gpu.preset] if pool.gpu.preset else None
        if nodes is not None and nodes.key not in selector:
            if len(nodes.values) == 1:
                selector[nodes.key] = nodes.values[0]
            else:
                fields["affinity"] = _affinity(nodes)
        if pool.gpu.runtime_class_name is not None:
            fields["runtimeClassName"] = pool.gpu.runtime_class_name
    if selector:
        fields["nodeSelector"] = selector
    if tolerations:
        fields["tolerations"] = [
            _without_empty(toleration.model_dump(mode="json", by_alias=True))
            for toleration in dict.fromkeys(tolerations)
        ]
    return fields


def _without_empty(fields: dict[str, Any]) -> dict[str, Any]:
    """Drop what the API server would forget."""
    return {name: value for name, value in fields.items() if value not in (None, "")}


def _gpu_tolerations(gpu: Gpu) -> list[Toleration]:
    preset = NODES[gpu.preset].taints if gpu.preset else ()
    own = Toleration(key=gpu.resource, operator="Exists", effect="NoSchedule")
    return [*preset, own]


def _affinity(nodes: GpuNodes) -> dict[str, Any]:
    wanted = {"key": nodes.key, "operator": "In", "values": list(nodes.values)}
    terms = [{"matchExpressions": [wanted]}]
    return {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}
        }
    }

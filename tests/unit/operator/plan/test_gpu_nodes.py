"""Where pods may run: the cloud's labels and taints, merged with the pool's own."""

from typing import Any

import pytest

from support.operator.samples import changed, full, minimal, read
from whisperfleet_operator.plan.gpu_nodes import NODES, placement
from whisperfleet_operator.resource.pools import GpuPreset

ANY_GPU = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
AKS = {"key": "sku", "operator": "Equal", "value": "gpu", "effect": "NoSchedule"}


def placed(resource: dict[str, Any]) -> dict[str, Any]:
    return placement(read(resource).spec.pools[0])


def wanted_nodes(fields: dict[str, Any]) -> dict[str, Any]:
    """What the node affinity asks for."""
    affinity = fields["affinity"]["nodeAffinity"]
    (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    (expression,) = term["matchExpressions"]
    found: dict[str, Any] = expression
    return found


@pytest.mark.parametrize("preset", GpuPreset)
def test_every_preset_picks_nodes_and_tolerates_their_taint(preset: GpuPreset) -> None:
    fields = placed(changed(minimal(), "spec.pools.0.gpu.preset", preset.value))
    assert ("affinity" in fields) != ("nodeSelector" in fields)
    assert ANY_GPU in fields["tolerations"]
    assert (AKS in fields["tolerations"]) == preset.startswith("aks-")


def test_every_preset_has_its_nodes_and_shares_none() -> None:
    assert NODES.keys() == set(GpuPreset)
    chosen = [(nodes.key, value) for nodes in NODES.values() for value in nodes.values]
    assert len(chosen) == len(set(chosen))


@pytest.mark.parametrize(
    ("preset", "selector"),
    [
        ("gke-l4", {"cloud.google.com/gke-accelerator": "nvidia-l4"}),
        ("gke-t4", {"cloud.google.com/gke-accelerator": "nvidia-tesla-t4"}),
        ("gke-a100-80gb", {"cloud.google.com/gke-accelerator": "nvidia-a100-80gb"}),
    ],
)
def test_one_label_is_a_node_selector(preset: str, selector: dict[str, str]) -> None:
    fields = placed(changed(minimal(), "spec.pools.0.gpu.preset", preset))
    assert fields == {"nodeSelector": selector, "tolerations": [ANY_GPU]}


@pytest.mark.parametrize(
    ("preset", "instance"),
    [
        ("eks-t4", "g4dn.xlarge"),
        ("eks-a10g", "g5.xlarge"),
        ("eks-l4", "g6.xlarge"),
        ("aks-t4", "Standard_NC4as_T4_v3"),
        ("aks-a100", "Standard_NC24ads_A100_v4"),
    ],
)
def test_several_instance_types_are_an_affinity(preset: str, instance: str) -> None:
    wanted = wanted_nodes(placed(changed(minimal(), "spec.pools.0.gpu.preset", preset)))
    assert wanted["key"] == "node.kubernetes.io/instance-type"
    assert wanted["operator"] == "In"
    assert instance in wanted["values"]


def test_the_pool_s_own_are_added() -> None:
    fields = placed(full())
    assert fields["nodeSelector"] == {"team": "a"}
    assert "Standard_NC4as_T4_v3" in wanted_nodes(fields)["values"]
    assert fields["tolerations"] == [
        {"key": "team", "operator": "Equal", "value": "a", "effect": "NoSchedule"},
        {"key": "spot", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0},
        AKS,
        ANY_GPU,
    ]
    assert fields["runtimeClassName"] == "nvidia"


@pytest.mark.parametrize(
    ("preset", "label", "value"),
    [
        ("eks-t4", "node.kubernetes.io/instance-type", "g4dn.2xlarge"),
        ("gke-l4", "cloud.google.com/gke-accelerator", "nvidia-l4-vws"),
    ],
)
def test_the_pool_s_own_choice_wins(preset: str, label: str, value: str) -> None:
    resource = changed(minimal(), "spec.pools.0.gpu.preset", preset)
    fields = placed(changed(resource, "spec.pools.0.nodeSelector", {label: value}))
    assert fields["nodeSelector"] == {label: value}
    assert "affinity" not in fields


def test_a_toleration_is_said_once() -> None:
    fields = placed(changed(minimal(), "spec.pools.0.tolerations", [ANY_GPU]))
    assert fields["tolerations"] == [ANY_GPU]


def test_without_a_preset_any_node_with_the_resource_will_do() -> None:
    gpu = {"resource": "amd.com/gpu"}
    fields = placed(changed(minimal(), "spec.pools.0.gpu", gpu))
    assert fields == {"tolerations": [ANY_GPU | {"key": "amd.com/gpu"}]}


def test_without_a_gpu_nothing_is_asked_for() -> None:
    assert placed(changed(minimal(), "spec.pools.0.gpu", None)) == {}

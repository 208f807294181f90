"""The node pools that the examples make, as the scheduler would see them."""

import argparse
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from support.examples.files import EXAMPLES

_FENCED = re.compile(r"^```\n(.*?)^```", re.MULTILINE | re.DOTALL)
_GPU_TAINT: Final = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
# The first two are Node Feature Discovery's, the third is for those who do without it.
_LABELS_OF_GPU_NODES: Final = {
    "feature.node.kubernetes.io/pci-10de.present": "true",
    "feature.node.kubernetes.io/cpu-model.vendor_id": "NVIDIA",
    "nvidia.com/gpu.present": "true",
}


@dataclass(frozen=True)
class Nodes:
    """Nodes of one pool: every node has one of `labels`, and all of `taints`.

    They are what the cluster's autoscaler knows while the pool has no node: it adds none for a pod
    that asks for more.
    """

    name: str
    labels: tuple[dict[str, str], ...]
    taints: tuple[dict[str, str], ...]
    start: int

    @property
    def is_spot(self) -> bool:
        return self.name.endswith("spot")


def commands(readme: Path, beginning: str) -> Iterator[list[str]]:
    """Yield the words of the fenced commands that begin so."""
    for block in _FENCED.findall(readme.read_text("utf-8")):
        words = shlex.split(block.replace("\\\n", " "))
        if " ".join(words).startswith(beginning):
            yield words[len(beginning.split()) :]


def eks() -> list[Nodes]:
    config = yaml.safe_load((EXAMPLES / "eks/nodes.yaml").read_text("utf-8"))
    return [_of_eks(group) for group in config["managedNodeGroups"]]


def _of_eks(group: dict[str, Any]) -> Nodes:
    # The autoscaler learns labels and taints by the group's tags. It does not know what EKS adds to
    # nodes that are there, such as eks.amazonaws.com/capacityType.
    known = group if group["propagateASGTags"] else {}
    labels = tuple(
        {"node.kubernetes.io/instance-type": each, **known.get("labels", {})}
        for each in group["instanceTypes"]
    )
    return Nodes(group["name"], labels, tuple(known.get("taints", ())), group["minSize"])


def gke() -> list[Nodes]:
    found = commands(EXAMPLES / "gke/README.md", "gcloud container node-pools create")
    return [_of_gke(words) for words in found]


def _of_gke(words: list[str]) -> Nodes:
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("name")
    for option in ("--cluster", "--location", "--machine-type", "--disk-size", "--accelerator"):
        parser.add_argument(option, required=True)
    parser.add_argument("--node-taints")
    for option in ("--num-nodes", "--min-nodes", "--max-nodes"):
        parser.add_argument(option, type=int, required=True)
    for option in ("--spot", "--enable-autoscaling"):
        parser.add_argument(option, action="store_true")
    asked = parser.parse_args(words)
    accelerator = dict(part.split("=") for part in asked.accelerator.split(","))
    labels = {"cloud.google.com/gke-accelerator": accelerator["type"]}
    if asked.spot:
        labels["cloud.google.com/gke-spot"] = "true"
    # GKE taints the nodes of GPU pools by itself, and those of spot pools not.
    taints = (_GPU_TAINT, *_taints(asked.node_taints))
    assert asked.enable_autoscaling
    return Nodes(asked.name, (labels,), taints, max(asked.min_nodes, asked.num_nodes))


def aks() -> list[Nodes]:
    return [_of_aks(words) for words in commands(EXAMPLES / "aks/README.md", "az aks nodepool add")]


def _of_aks(words: list[str]) -> Nodes:
    parser = argparse.ArgumentParser(exit_on_error=False)
    for option in ("--name", "--resource-group", "--cluster-name", "--node-vm-size"):
        parser.add_argument(option, required=True)
    for option in ("--node-count", "--min-count", "--max-count", "--node-osdisk-size"):
        parser.add_argument(option, type=int, required=True)
    for option in ("--priority", "--eviction-policy", "--node-taints", "--labels"):
        parser.add_argument(option)
    parser.add_argument("--spot-max-price", type=int)
    parser.add_argument("--enable-cluster-autoscaler", action="store_true")
    asked = parser.parse_args(words)
    # What AKS demands of names of Linux pools.
    assert re.fullmatch(r"[a-z][a-z0-9]{0,11}", asked.name)
    own = dict(each.split("=") for each in (asked.labels or "").split())
    labels = {"node.kubernetes.io/instance-type": asked.node_vm_size, **own}
    taints = _taints(asked.node_taints)
    if asked.priority == "Spot":
        # AKS does both by itself.
        labels["kubernetes.azure.com/scalesetpriority"] = "spot"
        taints += _taints("kubernetes.azure.com/scalesetpriority=spot:NoSchedule")
    assert asked.enable_cluster_autoscaler
    return Nodes(asked.name, (labels,), taints, max(asked.min_count, asked.node_count))


def device_plugin(words: list[str]) -> dict[str, Any]:
    """Return what the command that installs NVIDIA's device plugin says of its pods' placement.

    Its chart asks for one of these labels unless it is told another affinity, and tolerates what it
    is told to.
    """
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("chart", choices=["nvdp/nvidia-device-plugin"])
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--create-namespace", action="store_true")
    parser.add_argument("--set", action="append", default=[])
    tolerations: dict[str, dict[str, str]] = {}
    for setting in parser.parse_args(words).set:
        index, field, value = _parts(r"tolerations\[(\d)\]\.(\w+)=(.*)", setting)
        tolerations.setdefault(index, {})[field] = value
    terms = [
        {"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]}
        for key, value in _LABELS_OF_GPU_NODES.items()
    ]
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    return {"affinity": {"nodeAffinity": required}, "tolerations": list(tolerations.values())}


def _taints(text: str | None) -> tuple[dict[str, str], ...]:
    """Read what command lines say of taints: key=value:Effect, by commas."""
    taints = []
    for taint in (text or "").split(",") if text else ():
        key, value, effect = _parts(r"([^=]+)=([^:]*):(\w+)", taint)
        taints.append({"key": key, "value": value, "effect": effect})
    return tuple(taints)


def _parts(pattern: str, text: str) -> tuple[str, ...]:
    """Return the groups of a text that is as the pattern says; of another, fail."""
    found = re.fullmatch(pattern, text)
    assert found, f"{text!r} is not as {pattern!r} says"
    return found.groups()

"""Why no node takes a pod, from the scheduler's message: one cause, and what to do about it.

The scheduler tells, for each reason, on how many nodes it was the first that it met; a node that
lacks several resources is counted for each. It checks a node in this order: cordoned, taints,
labels, resources, volumes. So a node that lacks only memory has the GPU, one whose volume is
elsewhere has all of it, and of one that is cordoned or tainted nobody knows.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from whisperfleet_operator.observe import Problem
from whisperfleet_operator.resource import Reason
from whisperfleet_operator.resource.pools import Pool

__all__ = ["unschedulable"]

_NODES = re.compile(r"^\d+/(\d+) nodes are available:? ?")
# What is said of preemption begins a sentence of its own.
_NEXT_SENTENCE = re.compile(r"\. (?=[a-z])")
_NEXT_REASON = re.compile(r", (?=\d+ )")
_REASON = re.compile(r"(\d+) (.+)")
_INSUFFICIENT = "Insufficient "
_FULL = "Too many pods"
_CORDONED = "were unschedulable"
_TAINT = "untolerated taint"
_LABELS = "node affinity/selector"
# What the cluster itself taints nodes with that cannot work at the moment.
_ILL = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")

_CLAIM_NAME = re.compile(r'persistentvolumeclaim "([^"]+)"')
_VOLUMES_ELSEWHERE = (
    "PersistentVolume's node affinity",
    "volume node affinity conflict",
    "no available volume zone",
    "plugin(s) [VolumeBinding]",
)
_VOLUMES_NOT_TO_BE_HAD = (
    "available persistent volumes to bind",
    "enough free storage",
    "exceed max volume count",
    "no available disk",
    "ReadWriteOncePod",
    "bound to non-existent",
)


@dataclass(frozen=True, slots=True)
class _Diagnosis:
    """How many nodes there are, and on how many each reason was met."""

    nodes: int
    counts: Mapping[str, int]

    def of(self, *phrases: str) -> int:
        return sum(
            count
            for reason, count in self.counts.items()
            if any(phrase in reason for phrase in phrases)
        )

    @property
    def short(self) -> list[str]:
        """The resources of which some node has too little."""
        return [
            reason.removeprefix(_INSUFFICIENT)
            for reason in self.counts
            if reason.startswith(_INSUFFICIENT)
        ]

    def fitting_but_for(self, resource: str | None) -> int:
        """Return how many nodes were refused for a resource, and have enough of this one."""
        for_resources = self.nodes - sum(
            count
            for reason, count in self.counts.items()
            if not reason.startswith(_INSUFFICIENT) and reason != _FULL
        )
        return for_resources - self.counts.get(f"{_INSUFFICIENT}{resource}", 0)


def unschedulable(pod: str, pool: Pool, message: str) -> Problem:
    """Return why no node takes the pod of that name, in one cause with its remedy."""
    seen = _diagnose(message)
    remedy = _claim(message) or _volume(seen) or _resources(pool, seen) or _lost_node(pool, seen)
    if remedy is None and pool.gpu is not None and _lacks_gpu(pool, seen):
        return Problem(Reason.NO_GPU_AVAILABLE, _no_gpu(pod, pool, seen, message))
    remedy = remedy or _taint(pool, seen) or _labels(pool, seen)
    return Problem(Reason.UNSCHEDULABLE, f"no node takes the pod {pod}: {remedy} ({message})")


def _diagnose(message: str) -> _Diagnosis:
    found = _NODES.match(message)
    rest = _NEXT_SENTENCE.split(message[found.end() :] if found else message)[0].rstrip(".")
    counts = {}
    for part in _NEXT_REASON.split(rest):
        if reason := _REASON.fullmatch(part):
            counts[reason[2]] = int(reason[1])
    return _Diagnosis(int(found[1]) if found else 0, counts)


def _claim(message: str) -> str | None:
    """Return what to do where the pod cannot even be tried: its claim."""
    name = found[1] if (found := _CLAIM_NAME.search(message)) else None
    if name and "not found" in message:
        return (
            f"the PersistentVolumeClaim {name} does not exist: create it, or correct "
            "spec.model.source.volumeClaim.claimName or the pool's template.volumes, whichever "
            "names it"
        )
    if name and "being deleted" in message:
        return f"the PersistentVolumeClaim {name} is being deleted: create it anew once it is gone"
    if name and "non-existent persistentvolume" in message:
        return (
            f"the volume of the PersistentVolumeClaim {name} is lost: delete the claim and create "
            "it anew, then fill it"
        )
    if "unbound immediate PersistentVolumeClaims" in message:
        return (
            "its PersistentVolumeClaim has no volume yet: see kubectl describe pvc, and give the "
            "claim a storageClassName that the cluster has (kubectl get storageclass), or a volume"
        )
    return None


def _volume(seen: _Diagnosis) -> str | None:
    if seen.of(*_VOLUMES_ELSEWHERE):
        return (
            "its volume is bound to other nodes or another zone than those that have room: add "
            "such nodes where the volume is (kubectl get pv -o yaml shows its nodeAffinity), or "
            "take a volume that every zone reaches"
        )
    if seen.of(*_VOLUMES_NOT_TO_BE_HAD):
        return (
            "the nodes that have room cannot have its volume: see kubectl describe pvc; free or "
            "add what the message names, or take a volume that several nodes may mount"
        )
    return None


def _resources(pool: Pool, seen: _Diagnosis) -> str | None:
    gpu = pool.gpu.resource if pool.gpu is not None else None
    if seen.fitting_but_for(gpu) <= 0:
        return None
    short = [resource for resource in seen.short if resource != gpu]
    nodes = "the nodes with a free GPU" if gpu else "the nodes"
    if not short:
        return f"{nodes} have as many pods as they may: add nodes" if seen.of(_FULL) else None
    fields = " and ".join(f"spec.worker.resources.requests.{resource}" for resource in short)
    return (
        f"{nodes} have too little {' and '.join(short)} free: lower {fields} (where there are only "
        "limits, those), or add larger nodes"
    )


def _lost_node(pool: Pool, seen: _Diagnosis) -> str | None:
    """Return what to do about nodes that somebody or the cluster took out of service."""
    wanted = "one with a GPU" if pool.gpu is not None else "one that fits"
    if count := seen.of(_CORDONED):
        return (
            f"{count} of {seen.nodes} nodes are cordoned: uncordon {wanted} (kubectl get nodes "
            "shows SchedulingDisabled; kubectl uncordon NODE), or add such a node"
        )
    if count := seen.of(*(f"{_TAINT} {{{key}" for key in _ILL)):
        return (
            f"{count} of {seen.nodes} nodes are not well: mend {wanted} (kubectl get nodes, "
            "kubectl describe node NODE), or add such a node"
        )
    return None


def _lacks_gpu(pool: Pool, seen: _Diagnosis) -> bool:
    """Whether a node was refused for the GPU, or all there are for the labels of such nodes."""
    resource = pool.gpu.resource if pool.gpu is not None else None
    return seen.nodes == 0 or seen.of(f"{_INSUFFICIENT}{resource}", _LABELS) > 0


def _no_gpu(pod: str, pool: Pool, seen: _Diagnosis, message: str) -> str:
    gpu = pool.gpu
    what = f"{gpu.count} {gpu.resource}" if gpu is not None else "a GPU"
    remedies = ["add such nodes", "let the cluster's autoscaler add them"]
    if pool.node_selector:
        remedies.append("correct the nodeSelector")
    if seen.of(_TAINT):
        remedies.append(
            "where the nodes with a taint are those, tolerate it in the pool's tolerations"
        )
    return (
        f"the pod {pod} waits for {what}: no node{_wanted(pool)} has as many free; "
        f"{', '.join(remedies[:-1])}, or {remedies[-1]} ({message})"
    )


def _wanted(pool: Pool) -> str:
    """Return which nodes a pool wants, for a sentence."""
    preset = pool.gpu.preset if pool.gpu is not None else None
    wants = [f"of the preset {preset}"] if preset else []
    if pool.node_selector:
        labels = (f"{key}={value}" for key, value in sorted(pool.node_selector.items()))
        wants.append(f"with the pool's nodeSelector {', '.join(labels)}")
    return "".join(f" {want}" for want in wants)


def _taint(pool: Pool, seen: _Diagnosis) -> str | None:
    if not seen.of(_TAINT) or seen.of(_LABELS) > seen.of(_TAINT):
        return None
    return (
        f"{seen.of(_TAINT)} of {seen.nodes} nodes have a taint that the pool {pool.name} does not "
        "put up with: add it to the pool's tolerations (kubectl describe nodes shows Taints), or "
        "take it off a node: kubectl taint nodes NODE KEY-"
    )


def _labels(pool: Pool, seen: _Diagnosis) -> str:
    if seen.of(_LABELS) and pool.node_selector:
        return (
            f"none has the labels of the pool's nodeSelector{_wanted(pool)}: correct it, label a "
            "node, or add one that has them"
        )
    return "add one that fits, or change the pool's requests, nodeSelector or tolerations"

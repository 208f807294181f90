"""What a pool's pods ended of: those that nobody starts again, and the kubelet never started.

A ReplicaSet makes another at once, and the old one stays until there are thousands of them.
"""

from collections.abc import Sequence
from datetime import datetime

from whisperfleet_operator.kube import Object
from whisperfleet_operator.observe import PoolView, Problem
from whisperfleet_operator.resource import Reason, TranscriptionServiceSpec
from whisperfleet_operator.resource.patience import forgiven_seconds
from whisperfleet_operator.status.pods import is_ready

__all__ = ["failing", "last_ending"]

# Two can be an accident of one node.
_IN_A_ROW = 3
# What the kubelet or the node's shutdown writes, and what helps.
_REMEDIES = {
    "UnexpectedAdmissionError": "the node's device plugin or its kubelet is out of order",
    "Evicted": "raise the pool's requests for what the node ran out of, or its limits",
    "NodeShutdown": "the node was shut down",
    "Terminated": "the node was shut down",
    "NodeAffinity": "the node has lost a label that the pod needs",
    "Preempting": "a pod of a higher priority took the place",
}


def failing(view: PoolView, spec: TranscriptionServiceSpec, now: datetime) -> Problem | None:
    """Return what is wrong where several pods in a row have ended."""
    row = _row(view, spec, now)
    if len(row) < _IN_A_ROW:
        return None
    return Problem(
        Reason.PODS_FAILING,
        f"pods of the pool end one after the other, at least {_IN_A_ROW} in a row: "
        f"{_words(row[-1])}; see kubectl describe pod {_name(row[-1])}",
    )


def last_ending(view: PoolView, spec: TranscriptionServiceSpec, now: datetime) -> str:
    """Return what the newest pod that ended since one worked has ended of; empty for none."""
    row = _row(view, spec, now)
    return _words(row[-1]) if row else ""


def _row(view: PoolView, spec: TranscriptionServiceSpec, now: datetime) -> Sequence[Object]:
    """Return the pods that ended lately, and were made after the newest one that works."""
    working = max((_made(pod) for pod in view.pods if is_ready(pod)), default="")
    row = [
        pod
        for pod in view.failed
        if _made(pod) > working
        and (now - _ended(pod, now)).total_seconds() <= forgiven_seconds(spec)
    ]
    return sorted(row, key=lambda pod: (_ended(pod, now), _made(pod), _name(pod)))


def _words(pod: Object) -> str:
    status = pod.get("status", {})
    reason, message = status.get("reason") or "Failed", status.get("message") or _containers(pod)
    remedy = _REMEDIES.get(reason)
    if remedy is None and reason.startswith("OutOf"):
        remedy = "the node's scheduler and kubelet do not agree on what is free there"
    node = pod.get("spec", {}).get("nodeName")
    where = f" on the node {node}" if node else ""
    told = f": {message.strip().rstrip('.')}" if message else ""
    return f"the pod {_name(pod)} ended{where}: {reason}{told}{f' ({remedy})' if remedy else ''}"


def _containers(pod: Object) -> str:
    """Return which of the containers ended of what."""
    ended = [
        f"the container {each.get('name')} ended with exit code {state.get('exitCode')}"
        f" ({state.get('reason')})"
        for each in pod.get("status", {}).get("containerStatuses", ())
        if (state := each.get("state", {}).get("terminated")) and state.get("exitCode")
    ]
    return ", ".join(ended)


def _ended(pod: Object, now: datetime) -> datetime:
    """Return when a pod ended. One that never began has only the time of its refusal."""
    status = pod.get("status", {})
    ends = [
        state["finishedAt"]
        for each in status.get("containerStatuses", ())
        if (state := each.get("state", {}).get("terminated")) and state.get("finishedAt")
    ]
    at = max(ends, default=None) or status.get("startTime") or _made(pod)
    return datetime.fromisoformat(at) if at else now


def _made(pod: Object) -> str:
    """Return when a pod was made: RFC 3339 in UTC, which sorts by time."""
    return str(pod["metadata"].get("creationTimestamp", ""))


def _name(pod: Object) -> str:
    return str(pod["metadata"]["name"])

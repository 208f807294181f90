"""Pods whose containers have not begun: for a while no news, then what they wait for."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from whisperfleet_operator.kube import Object
from whisperfleet_operator.observe import Problem
from whisperfleet_operator.resource import Reason

__all__ = ["not_started"]

# What every container is called that waits for its pod, whatever holds that up.
_SAYS_NOTHING = frozenset({"", "ContainerCreating", "PodInitializing"})


def not_started(
    pod: Object, scheduled: dict[str, Any], startup_seconds: int, now: datetime
) -> Problem:
    """Return what a pod waits for that has no running container.

    `scheduled` is its condition PodScheduled, which is not False; empty where no scheduler has
    looked at it.
    """
    name = pod["metadata"]["name"]
    made = pod["metadata"].get("creationTimestamp")
    if not scheduled and "nodeName" not in pod.get("spec", {}):
        if _seconds(made, now) <= startup_seconds:
            return Problem(Reason.POD_STARTING, f"the pod {name} waits for the scheduler")
        return Problem(
            Reason.UNSCHEDULABLE,
            f"no scheduler has looked at the pod {name} for longer than "
            f"spec.scaling.startupSeconds ({startup_seconds} s): check that the kube-scheduler "
            "runs",
        )
    if _seconds(scheduled.get("lastTransitionTime") or made, now) <= startup_seconds:
        return Problem(
            Reason.POD_STARTING,
            f"the pod {name} is on its node, which fetches the image and starts it",
        )
    waiting = "; ".join(_waiting(pod))
    node = pod.get("spec", {}).get("nodeName")
    where = f"the node {node}" if node else "its node"
    return Problem(
        Reason.WORKERS_NOT_READY,
        f"the pod {name} has been on {where} for longer than spec.scaling.startupSeconds "
        f"({startup_seconds} s) and is not started{f' ({waiting})' if waiting else ''}: kubectl "
        f"describe pod {name} says what it waits for, such as a volume, a ConfigMap or the kubelet",
    )


def _waiting(pod: Object) -> Iterator[str]:
    """Yield what the kubelet says of each container that waits, where it says anything."""
    status = pod.get("status", {})
    for each in (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())):
        waiting = each.get("state", {}).get("waiting", {})
        if waiting.get("reason", "") not in _SAYS_NOTHING or waiting.get("message"):
            told = f": {waiting['message']}" if waiting.get("message") else ""
            yield f"the container {each.get('name')}: {waiting.get('reason')}{told}"


def _seconds(since: str | None, now: datetime) -> float:
    return (now - datetime.fromisoformat(since)).total_seconds() if since else 0.0

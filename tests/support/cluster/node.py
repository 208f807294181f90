"""What only someone on the node can do: kill a container's process, read the audit log."""

import os
import signal
from datetime import datetime
from pathlib import Path
from typing import Any

from hack.testbed import Testbed
from hack.testbed.audit import read_events
from support.cluster.kube import Json, Kube, until


def kill_container(kube: Kube, pod: str, namespace: str) -> None:
    """SIGKILL the first process of a pod's one container; return once another one runs."""
    # A worker may be at its first job before the kubelet has told of its container.
    until(lambda: "containerID" in _container(kube, pod, namespace), f"the container of {pod}")
    before = _container(kube, pod, namespace)
    os.kill(_first_process(before["containerID"].partition("://")[2]), signal.SIGKILL)

    def restarted() -> bool:
        now = _container(kube, pod, namespace)
        return now["restartCount"] > before["restartCount"] and "running" in now["state"]

    until(restarted, f"the container of {pod} runs again", 60)


def _container(kube: Kube, pod: str, namespace: str) -> Json:
    container: Json
    (container,) = kube.get("Pod", pod, namespace)["status"]["containerStatuses"]
    return container


def _first_process(container_id: str) -> int:
    """Return the process that is number 1 in a container."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            inside = container_id in (process / "cgroup").read_text()
            # proc(5), /proc/<pid>/status: the number in each PID namespace, innermost last.
            status = (process / "status").read_text()
        except OSError:
            continue
        numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()
        if inside and numbers[-1] == "1":
            return int(process.name)
    raise LookupError(f"no process of container {container_id} runs on this machine")


def audited(testbed: Testbed, namespace: str, resource: str, verb: str) -> list[dict[str, Any]]:
    """Return what was done to one resource, as ``pods/binding``, of a namespace, oldest first."""
    return [
        event
        for event in read_events(testbed.audit_log, about=namespace)
        if event["verb"] == verb
        and event.get("objectRef", {}).get("namespace") == namespace
        and _resource(event) == resource
    ]


def scalings(testbed: Testbed, namespace: str) -> list[dict[str, Any]]:
    """Return by which events the number of a fleet's pods was set, oldest first."""
    found = [
        event
        for verb in ("update", "patch")
        for event in audited(testbed, namespace, "deployments/scale", verb)
    ]
    return sorted(found, key=asked)


def asked(event: dict[str, Any]) -> datetime:
    """Return when the API server was asked, to the microsecond: nobody knew of it before."""
    return datetime.fromisoformat(event["requestReceivedTimestamp"])


def answered(event: dict[str, Any]) -> datetime:
    """Return when the API server said that it was done; those who watch may have seen it before."""
    return datetime.fromisoformat(event["stageTimestamp"])


def _resource(event: dict[str, Any]) -> str:
    target = event["objectRef"]
    return "/".join(filter(None, (target["resource"], target.get("subresource"))))

"""Why a pod does not work yet, in the words of the status."""

import signal
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from whisperfleet.exit_codes import ExitCode, after_signal
from whisperfleet_operator.kube import Object
from whisperfleet_operator.observe import Problem
from whisperfleet_operator.resource import Reason
from whisperfleet_operator.resource.names import WORKER_CONTAINER
from whisperfleet_operator.resource.pools import Pool
from whisperfleet_operator.status.references import missing_reference
from whisperfleet_operator.status.scheduling import unschedulable
from whisperfleet_operator.status.starting import not_started

__all__ = ["cannot_pull", "is_ready", "why_not_ready"]

_PULL_REASONS = frozenset(
    {
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
_CONFIGURATION_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError"})
# One restart can be a lost node or a slow start; the second in a row is a pattern. They are counted
# for as long as the pod lives, but who has run for ten minutes is forgiven, as by the kubelet.
_CRASHES = 2
_FORGIVEN_SECONDS = 600
_NO_QUEUE = frozenset({Reason.QUEUE_UNREACHABLE, Reason.QUEUE_REFUSED})
_KILLED = after_signal(signal.SIGKILL)
# Of a worker that ends by itself; the other codes are those of commands.
_EXIT_CODES = {
    **{
        int(code): code.meaning
        for code in (ExitCode.USAGE, ExitCode.DEVICE, ExitCode.MODEL, ExitCode.QUEUE)
    },
    _KILLED: "killed, most often for more memory than its limit",
}
# The container's program was never run: the image, the runtime or the GPU's driver.
_NEVER_BEGAN = frozenset({"ContainerCannotRun", "StartError"})


def is_ready(pod: Object) -> bool:
    """Whether the pod takes work."""
    return _condition(pod, "Ready").get("status") == "True"


def cannot_pull(pod: Object) -> bool:
    """Whether the pod's image cannot be fetched."""
    return any(
        container.get("state", {}).get("waiting", {}).get("reason") in _PULL_REASONS
        for container in _containers(pod)
    )


def why_not_ready(
    pod: Object, pool: Pool, startup_seconds: int, now: datetime, queue_problem: Problem | None
) -> Problem:
    """Return what a pod that is not ready waits for.

    No worker is ready without its queue: a pod that runs is not blamed for a `queue_problem`.
    """
    scheduled = _condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return unschedulable(_name(pod), pool, scheduled.get("message", ""))
    for container in _containers(pod):
        if problem := _container_problem(pod, pool, container, startup_seconds, now):
            return problem
    if any("running" in container.get("state", {}) for container in _containers(pod)):
        if queue_problem is not None and queue_problem.reason in _NO_QUEUE:
            return Problem(
                queue_problem.reason,
                f"the pod {_name(pod)} runs, and is not ready before its queue can be used",
            )
        return _not_ready(pod, startup_seconds, now)
    return not_started(pod, scheduled, startup_seconds, now)


def _container_problem(
    pod: Object, pool: Pool, container: dict[str, Any], startup_seconds: int, now: datetime
) -> Problem | None:
    state = container.get("state", {})
    waiting = state.get("waiting", {})
    reason, message = waiting.get("reason", ""), waiting.get("message", "")
    if reason in _PULL_REASONS:
        return Problem(
            Reason.IMAGE_PULL,
            f"the image {container.get('image')} cannot be pulled for the pod {_name(pod)}: check "
            "spec.model.image, and template.imagePullSecrets of the pool where the registry asks "
            f"for a password ({message or reason})",
        )
    if reason in _CONFIGURATION_REASONS:
        return missing_reference(_name(pod), pool, message) or Problem(
            Reason.WORKERS_NOT_READY,
            f"the pod {_name(pod)} cannot be started: {message or reason}; correct the pool's "
            "template",
        )
    ended = state.get("terminated") or container.get("lastState", {}).get("terminated")
    name = container.get("name", WORKER_CONTAINER)
    if ended and (
        reason == "CrashLoopBackOff"
        or (
            container.get("restartCount", 0) >= _CRASHES
            and _seconds_since(ended, now) <= max(startup_seconds, _FORGIVEN_SECONDS)
        )
    ):
        return Problem(
            Reason.WORKERS_CRASHING,
            f"{_who(name)} in the pod {_name(pod)} {_what_ended_it(name, ended)}; see kubectl logs "
            f"--previous {_name(pod)} -c {name}",
        )
    return None


def _who(container: str) -> str:
    return "the worker" if container == WORKER_CONTAINER else f"the container {container}"


def _what_ended_it(container: str, ended: dict[str, Any]) -> str:
    """Say how a container ended; what the code means is known of the worker's own alone."""
    if ended.get("reason") in _NEVER_BEGAN:
        return f"cannot be started, again and again: {ended.get('message') or ended['reason']}"
    code = ended.get("exitCode")
    meaning = f": {_EXIT_CODES[code]}" if code in _EXIT_CODES else ""
    known = meaning if container == WORKER_CONTAINER or code == _KILLED else ""
    return f"has ended with exit code {code} and is started again and again{known}"


def _seconds_since(ended: dict[str, Any], now: datetime) -> float:
    """Return how long ago a container ended; for ever where the kubelet has lost track of it."""
    finished = ended.get("finishedAt")
    return (now - datetime.fromisoformat(finished)).total_seconds() if finished else float("inf")


def _not_ready(pod: Object, startup_seconds: int, now: datetime) -> Problem:
    started = max(_starts(pod), default=now)
    seconds = (now - started).total_seconds()
    if seconds <= startup_seconds:
        return Problem(
            Reason.MODEL_LOADING,
            f"the pod {_name(pod)} runs and loads the model",
        )
    unready = _unready(pod)
    return Problem(
        Reason.WORKERS_NOT_READY,
        f"{_who(unready)} in the pod {_name(pod)} runs for longer than spec.scaling.startupSeconds "
        f"({startup_seconds} s) and is not ready; see kubectl logs {_name(pod)} -c {unready}",
    )


def _unready(pod: Object) -> str:
    """Return which container the pod waits for, the worker before any other."""
    names = [each.get("name", "") for each in _containers(pod) if each.get("ready") is False]
    if WORKER_CONTAINER in names or not names:
        return WORKER_CONTAINER
    return str(names[0])


def _starts(pod: Object) -> Iterator[datetime]:
    for container in _containers(pod):
        if running := container.get("state", {}).get("running"):
            yield datetime.fromisoformat(running["startedAt"])


def _containers(pod: Object) -> list[dict[str, Any]]:
    status = pod.get("status", {})
    return [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]


def _condition(pod: Object, name: str) -> dict[str, Any]:
    conditions: list[dict[str, Any]] = pod.get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == name), {})


def _name(pod: Object) -> str:
    name: str = pod["metadata"]["name"]
    return name

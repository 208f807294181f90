"""What a pool does, or what it waits for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from whisperfleet_operator.kube import Object
from whisperfleet_operator.observe import Observation, PoolView, Problem
from whisperfleet_operator.queues import Sample
from whisperfleet_operator.resource import Reason, TranscriptionServiceSpec
from whisperfleet_operator.resource.pools import Pool
from whisperfleet_operator.resource.status import PoolStatus
from whisperfleet_operator.status.pods import is_ready, why_not_ready
from whisperfleet_operator.status.refusals import pod_refusal

__all__ = ["BLOCKING", "PoolJudgement", "judge_pool"]

# What does not pass by itself, the worst first.
BLOCKING = (
    Reason.WORKERS_CRASHING,
    Reason.IMAGE_PULL,
    Reason.SECRET_MISSING,
    Reason.QUOTA_EXCEEDED,
    Reason.POD_REFUSED,
    Reason.NO_GPU_AVAILABLE,
    Reason.UNSCHEDULABLE,
    Reason.WORKERS_NOT_READY,
)
_PASSING = (
    Reason.QUEUE_UNREACHABLE,
    Reason.QUEUE_REFUSED,
    Reason.MODEL_LOADING,
    Reason.POD_STARTING,
)
_RANK = {reason: rank for rank, reason in enumerate((*BLOCKING, *_PASSING))}


@dataclass(frozen=True, slots=True)
class PoolJudgement:
    """A pool's line of the status, and whether something blocks it."""

    status: PoolStatus
    blocked: bool


def judge_pool(
    view: PoolView,
    spec: TranscriptionServiceSpec,
    seen: Observation,
    before: Reason | None,
    now: datetime,
) -> PoolJudgement:
    """Return what the pool does.

    `before` is the reason that it last had. `now` tells a model that loads from one that hangs.
    """
    ready = sum(map(is_ready, view.pods))
    waits = [
        why_not_ready(pod, view.pool, spec.scaling.startup_seconds, now, seen.queue_problem)
        for pod in view.pods
        if not is_ready(pod)
    ]
    if refusal := _refusal(view.deployment):
        waits.append(refusal)
    desired = _desired(view.deployment)
    if spec.suspend:
        problem = _suspended(view, seen.sample, desired)
    elif waits and (ready == 0 or _worst(waits).reason in BLOCKING):
        problem = _worst(waits)
    elif waits or ready < desired:
        rest = _worst(waits).message if waits else "the rest is created"
        problem = Problem(Reason.SCALING_UP, f"{ready} of {desired} pods work; {rest}")
    elif desired == 0:
        problem = _asleep(seen.sample)
    else:
        problem = _awake(view.pool, spec, seen.sample, desired, before)
    return PoolJudgement(
        PoolStatus(
            name=view.pool.name,
            desired=desired,
            ready=ready,
            reason=problem.reason,
            message=problem.message,
        ),
        blocked=problem.reason in BLOCKING,
    )


def _worst(waits: Sequence[Problem]) -> Problem:
    return min(waits, key=lambda wait: _RANK[wait.reason])


def _suspended(view: PoolView, sample: Sample | None, desired: int) -> Problem:
    # A pod on its way out is none of the view's, but the jobs that it still holds are running.
    if desired or view.pods or (sample is not None and sample.running):
        return Problem(
            Reason.SUSPENDED,
            "spec.suspend is set: the queue takes jobs, and the last pods finish what they hold or "
            "hand it back",
        )
    return Problem(
        Reason.SUSPENDED, "spec.suspend is set: the queue takes jobs and nobody works on them"
    )


def _asleep(sample: Sample | None) -> Problem:
    if sample is not None and sample.queued + sample.running > 0:
        return Problem(
            Reason.SCALING_UP, "there is work, and the autoscaler is about to ask for pods"
        )
    return Problem(Reason.IDLE, "scaled to zero until there is work")


def _awake(
    pool: Pool,
    spec: TranscriptionServiceSpec,
    sample: Sample | None,
    desired: int,
    before: Reason | None,
) -> Problem:
    if sample is None:
        return Problem(
            Reason.SERVING,
            f"all {desired} pods are ready; what they do shows once the queue can be asked",
        )
    if sample.queued + sample.running == 0:
        return Problem(Reason.IDLE, "the pods wait for work")
    # Jobs that trickle in wait for a moment at every fleet. It is too small when the autoscaler
    # would ask for more than it may, and until nothing waits any more.
    at_max = desired >= pool.replicas.max
    wanted = (sample.queued + sample.running) / spec.backlog_per_replica
    still = before is Reason.AT_MAX_REPLICAS and sample.queued > 0
    if at_max and (still or wanted > pool.replicas.max):
        return Problem(
            Reason.AT_MAX_REPLICAS,
            f"all {desired} pods that replicas.max allows work, and jobs wait; raise it to go "
            "faster",
        )
    return Problem(Reason.SERVING, "the pods work on the queue")


def _refusal(deployment: Object | None) -> Problem | None:
    """Return why the API server refuses to let the pods be created at all."""
    for condition in _conditions(deployment):
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return pod_refusal(condition.get("message", ""))
    return None


def _desired(deployment: Object | None) -> int:
    return int((deployment or {}).get("spec", {}).get("replicas") or 0)


def _conditions(obj: Object | None) -> list[dict[str, Any]]:
    conditions: list[dict[str, Any]] = (obj or {}).get("status", {}).get("conditions", [])
    return conditions

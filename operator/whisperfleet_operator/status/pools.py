"""What a pool does, or what it waits for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from whisperfleet_operator.kube import Object
from whisperfleet_operator.observe import Observation, PoolView, Problem, Spell
from whisperfleet_operator.queues import Sample
from whisperfleet_operator.resource import ConditionStatus, Reason, TranscriptionServiceSpec
from whisperfleet_operator.resource.patience import CREATION_SECONDS
from whisperfleet_operator.resource.reasons import BLOCKING
from whisperfleet_operator.resource.status import PoolStatus
from whisperfleet_operator.status.autoscaler import DIRECTIONS, autoscaler_state
from whisperfleet_operator.status.condition_state import ConditionState
from whisperfleet_operator.status.endings import failing, last_ending
from whisperfleet_operator.status.pods import is_ready, why_not_ready
from whisperfleet_operator.status.refusals import pod_refusal
from whisperfleet_operator.status.rollouts import rollout_problem

__all__ = ["PoolAssessment", "assess_pool"]

_PASSING = (
    Reason.QUEUE_UNREACHABLE,
    Reason.QUEUE_REFUSED,
    Reason.MODEL_LOADING,
    Reason.POD_STARTING,
)
# What the pods themselves do not explain is explained by the autoscaler.
_OF_AUTOSCALER = frozenset({Reason.IDLE, Reason.SERVING, Reason.SCALING_UP, Reason.SUSPENDED})
_AT_REST = frozenset({Reason.IDLE, Reason.SERVING, Reason.AT_MAX_REPLICAS})
_OF_ROLLOUT = frozenset({Reason.ROLLOUT_PAUSED, Reason.ROLLOUT_STUCK})
_RANK = {reason: rank for rank, reason in enumerate((*BLOCKING, *_PASSING))}


@dataclass(frozen=True, slots=True)
class PoolAssessment:
    """A pool's line of the status, and what its autoscaler does.

    `blocked` by something that does not pass by itself; `stopped` where that keeps pods from work.
    """

    status: PoolStatus
    scaler: ConditionState
    blocked: bool
    stopped: bool


def assess_pool(
    view: PoolView,
    spec: TranscriptionServiceSpec,
    seen: Observation,
    before: PoolStatus | None,
    now: datetime,
) -> PoolAssessment:
    """Return what the pool does.

    `before` is what was last said of it. `now` tells a model that loads from one that hangs.
    """
    before = before or PoolStatus(name=view.pool.name)
    woken = view.woken or before.woken_time
    scaler = autoscaler_state(view, spec, seen, woken)
    ready = sum(map(is_ready, view.pods))
    problem = _problem(view, spec, seen, before.reason, now)
    if problem.reason in _OF_AUTOSCALER and scaler.reason in DIRECTIONS:
        problem = Problem(scaler.reason, scaler.message)
    elif problem.reason in _AT_REST or (ready and problem.reason is Reason.SCALING_UP):
        problem = rollout_problem(view.deployment) or problem
    return PoolAssessment(
        PoolStatus(
            name=view.pool.name,
            desired=view.desired,
            ready=ready,
            reason=problem.reason,
            message=problem.message,
            woken_time=woken if scaler.status is not ConditionStatus.TRUE else None,
        ),
        scaler,
        blocked=problem.reason in (*BLOCKING, Reason.AUTOSCALER_SILENT),
        stopped=problem.reason in (*BLOCKING, Reason.AUTOSCALER_SILENT)
        and problem.reason not in _OF_ROLLOUT,
    )


def _problem(
    view: PoolView,
    spec: TranscriptionServiceSpec,
    seen: Observation,
    before: Reason | None,
    now: datetime,
) -> Problem:
    """Return what the pool does, or what of its own it waits for."""
    ready = sum(map(is_ready, view.pods))
    waits = [
        why_not_ready(pod, view.pool, spec.scaling.startup_seconds, now, seen.queue_problem)
        for pod in view.pods
        if not is_ready(pod)
    ]
    desired = view.desired
    waits += filter(None, _of_deployment(view, spec, now))
    if spec.suspend:
        return _suspended(view, seen.sample, desired)
    if waits and (ready == 0 or _worst(waits).reason in BLOCKING):
        return _with_ending(_worst(waits), view, spec, now)
    if waits or ready < desired:
        rest = _worst(waits).message if waits else "the rest is created"
        on_their_way = Problem(Reason.SCALING_UP, f"{ready} of {desired} pods work; {rest}")
        return _with_ending(on_their_way, view, spec, now)
    if desired == 0:
        return _asleep(seen.jobs_of(view))
    return _awake(view, spec, seen, before)


def _of_deployment(
    view: PoolView, spec: TranscriptionServiceSpec, now: datetime
) -> Iterator[Problem | None]:
    """Yield what is wrong with the pods that are not there, or not as they shall be."""
    refusal = _refusal(view.deployment)
    yield refusal
    if view.desired:
        yield failing(view, spec, now)
    if refusal is None and view.spells.get(Spell.UNMADE, 0) > CREATION_SECONDS:
        yield Problem(
            Reason.WORKERS_NOT_READY,
            f"{len(view.pods)} of {view.desired} pods have been made, and no other for longer than "
            f"{CREATION_SECONDS:g} s: see kubectl describe replicaset, and whether the "
            "kube-controller-manager runs",
        )


def _with_ending(
    problem: Problem, view: PoolView, spec: TranscriptionServiceSpec, now: datetime
) -> Problem:
    """Add to what passes what the pods before ended of."""
    ending = last_ending(view, spec, now)
    if problem.reason in BLOCKING or not ending:
        return problem
    return Problem(problem.reason, f"{problem.message}; {ending}")


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


def _asleep(jobs: int) -> Problem:
    if jobs > 0:
        return Problem(
            Reason.SCALING_UP, "there is work, and the autoscaler is about to ask for pods"
        )
    return Problem(Reason.IDLE, "scaled to zero until there is work")


def _awake(
    view: PoolView, spec: TranscriptionServiceSpec, seen: Observation, before: Reason | None
) -> Problem:
    desired, most, sample = view.desired, view.pool.replicas.max, seen.sample
    if sample is None:
        return Problem(
            Reason.SERVING,
            f"all {desired} pods are ready; what they do shows once the queue can be asked",
        )
    if seen.jobs == 0:
        return Problem(Reason.IDLE, "the pods wait for work")
    # Jobs that trickle in wait for a moment at every fleet. It is too small when the autoscaler
    # would ask for more than it may, and until nothing waits any more.
    wanted = seen.jobs_of(view) / spec.backlog_per_replica
    still = before is Reason.AT_MAX_REPLICAS and sample.queued > 0
    if desired >= most and (still or wanted > most):
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


def _conditions(obj: Object | None) -> list[dict[str, Any]]:
    conditions: list[dict[str, Any]] = (obj or {}).get("status", {}).get("conditions", [])
    return conditions

"""The conditions of a service, from what was seen of it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from whisperfleet_operator.observe import Observation, Problem
from whisperfleet_operator.queues import Sample
from whisperfleet_operator.resource import (
    Condition,
    ConditionStatus,
    ConditionType,
    Reason,
    TranscriptionService,
    TranscriptionServiceStatus,
)
from whisperfleet_operator.resource.names import RECONCILE_ANNOTATION
from whisperfleet_operator.resource.status import MAX_MESSAGE, PoolStatus, QueueStatus, StreamStatus
from whisperfleet_operator.status.autoscaler import DIRECTIONS
from whisperfleet_operator.status.condition_state import ConditionState
from whisperfleet_operator.status.pools import PoolAssessment, assess_pool
from whisperfleet_operator.status.rollouts import model_that_runs

__all__ = [
    "failed_status",
    "invalid_status",
    "parse_status",
    "reconcile_disabled_status",
    "service_status",
    "waiting_status",
]

TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN

# Depths change all the time; each write of a status wakes everybody who watches it.
SAMPLE_SECONDS = 10


_States = Mapping[ConditionType, ConditionState]
_PENDING = ConditionState(UNKNOWN, Reason.PENDING, "not looked at yet")
# INFO does not tell appendfsync.
_AS_DURABLE_AS_TOLD = (
    "Redis keeps an append-only file and evicts nothing; a crash may still lose its last second or "
    "two where appendfsync is everysec: set it to always"
)


def service_status(
    service: TranscriptionService,
    seen: Observation,
    before: TranscriptionServiceStatus,
    now: datetime,
) -> TranscriptionServiceStatus:
    """Return the status of a service that the operator takes care of."""
    earlier = {pool.name: pool for pool in before.pools}
    pools = [
        assess_pool(view, service.spec_of(view.pool), seen, earlier.get(view.pool.name), now)
        for view in seen.pools
    ]
    states = {
        ConditionType.QUEUE_REACHABLE: _queue_reachable(seen),
        ConditionType.AUTOSCALER_READY: _autoscaler_ready(pools),
        ConditionType.WORKERS_AVAILABLE: _workers_available(pools),
    }
    if seen.sample is not None:
        # A server that does not answer has not become less durable.
        states[ConditionType.QUEUE_DURABLE] = _queue_durable(seen.sample)
    states[ConditionType.READY] = _ready(seen, states, pools)
    states[ConditionType.DEGRADED] = _degraded(seen, states, pools)
    return TranscriptionServiceStatus(
        observed_generation=service.metadata.generation,
        conditions=_dated(states, service.metadata.generation, before, now),
        model=model_that_runs(service, seen.pools),
        replicas=_replicas([pool.status for pool in pools]),
        queue=_queue(service, seen, before),
        pools=tuple(pool.status for pool in pools),
    )


def waiting_status(
    service: TranscriptionService,
    problem: Problem,
    before: TranscriptionServiceStatus,
    now: datetime,
) -> TranscriptionServiceStatus:
    """Return the status of a service before what `problem` says has passed."""
    states = {ConditionType.READY: ConditionState.of(UNKNOWN, problem)}
    return _unobserved(states, service.metadata.generation, before, now)


def failed_status(
    service: TranscriptionService,
    problem: Problem,
    before: TranscriptionServiceStatus,
    now: datetime,
) -> TranscriptionServiceStatus:
    """Return the status of a service that nothing can be done for because of `problem`."""
    states = {
        ConditionType.READY: ConditionState.of(FALSE, problem),
        ConditionType.DEGRADED: ConditionState.of(TRUE, problem),
    }
    return _unobserved(states, service.metadata.generation, before, now)


def reconcile_disabled_status(
    service: TranscriptionService, before: TranscriptionServiceStatus, now: datetime
) -> TranscriptionServiceStatus:
    """Return the status of a service that the operator has been told to leave alone."""
    message = (
        f"the annotation {RECONCILE_ANNOTATION}: disabled is set, so nothing is watched or mended; "
        "remove it to go on"
    )
    state = ConditionState(UNKNOWN, Reason.RECONCILE_DISABLED, message)
    states = {ConditionType.READY: state}
    return _unobserved(states, service.metadata.generation, before, now)


def invalid_status(
    generation: int, error: str, before: TranscriptionServiceStatus, now: datetime
) -> TranscriptionServiceStatus:
    """Return the status of a service whose spec this operator cannot read."""
    message = (
        f"this operator cannot read the spec, which another version's schema let in: {error}; "
        "correct it, or bring the operator and its CRD to one version"
    )
    states = {
        ConditionType.READY: ConditionState(FALSE, Reason.INVALID_SPEC, message),
        ConditionType.DEGRADED: ConditionState(TRUE, Reason.INVALID_SPEC, message),
    }
    return _unobserved(states, generation, before, now)


def _unobserved(
    states: _States, generation: int, before: TranscriptionServiceStatus, now: datetime
) -> TranscriptionServiceStatus:
    return before.model_copy(
        update={
            "observed_generation": generation,
            "conditions": _dated(states, generation, before, now),
        }
    )


def _queue_reachable(seen: Observation) -> ConditionState:
    if seen.queue_problem is not None:
        return ConditionState.of(FALSE, seen.queue_problem)
    if seen.sample is None:
        return _PENDING
    return ConditionState(
        TRUE, Reason.AS_EXPECTED, "Redis answers, and the queue is this service's"
    )


def _queue_durable(sample: Sample) -> ConditionState:
    if sample.warnings:
        return ConditionState(FALSE, Reason.QUEUE_NOT_DURABLE, "; ".join(sample.warnings))
    return ConditionState(TRUE, Reason.AS_EXPECTED, _AS_DURABLE_AS_TOLD)


def _autoscaler_ready(pools: Sequence[PoolAssessment]) -> ConditionState:
    worst = next((pool for pool in pools if pool.scaler.status is not TRUE), pools[0])
    if worst.status.woken_time is None:
        return worst.scaler
    return replace(
        worst.scaler,
        message=f"{worst.scaler.message}; meanwhile the operator woke one pod itself",
    )


def _workers_available(pools: Sequence[PoolAssessment]) -> ConditionState:
    worst = _worst(pools)
    reason, message = worst.status.reason or Reason.PENDING, worst.status.message or ""
    if reason is Reason.SUSPENDED:
        return ConditionState(FALSE, reason, message)
    asleep = all(pool.status.desired == 0 and not pool.stopped for pool in pools)
    working = any(pool.status.ready for pool in pools)
    return ConditionState(TRUE if asleep or working else FALSE, reason, message)


def _ready(seen: Observation, states: _States, pools: Sequence[PoolAssessment]) -> ConditionState:
    """Whether a job that is sent now will be worked on without anybody's help."""
    if seen.problems:
        return _of_problems(FALSE, seen.problems)
    working = any(pool.status.ready for pool in pools)
    for needed in (ConditionType.QUEUE_REACHABLE, ConditionType.AUTOSCALER_READY):
        if (state := states[needed]).status is not TRUE:
            # Pods that work do so whatever becomes of their number.
            limps = working and state.reason in DIRECTIONS
            return replace(state, status=TRUE) if limps else state
    worst = _worst(pools)
    reason, message = worst.status.reason or Reason.PENDING, worst.status.message or ""
    if reason is Reason.SUSPENDED or (worst.stopped and not working):
        return ConditionState(FALSE, reason, message)
    return ConditionState(TRUE, reason, message)


def _degraded(
    seen: Observation, states: _States, pools: Sequence[PoolAssessment]
) -> ConditionState:
    """Whether something is wrong that a person has to mend, even if work is done meanwhile."""
    if seen.problems:
        return _of_problems(TRUE, seen.problems)
    for needed in (ConditionType.QUEUE_REACHABLE, ConditionType.AUTOSCALER_READY):
        if (state := states[needed]).status is FALSE:
            return ConditionState(TRUE, state.reason, state.message)
    worst = _worst(pools)
    if worst.blocked:
        reason, message = worst.status.reason or Reason.PENDING, worst.status.message or ""
        return ConditionState(TRUE, reason, message)
    if seen.former_tenants:
        return ConditionState(FALSE, Reason.TENANT_REMOVED, _still_served(seen.former_tenants))
    for conflict in seen.conflicting:
        # It may be meant so: a mirror for images, say.
        return ConditionState.of(FALSE, conflict)
    return ConditionState(FALSE, Reason.AS_EXPECTED, "nothing is wrong")


def _still_served(tenants: Sequence[str]) -> str:
    message = (
        f"taken out of spec.queue.tenants: {', '.join(tenants)}; their streams still hold jobs, "
        "and the workers go on with them until they are empty. Where a producer goes on sending, "
        "take its account of Redis away, or name the tenant again"
    )
    return message[:MAX_MESSAGE]


def _of_problems(status: ConditionStatus, problems: Sequence[Problem]) -> ConditionState:
    """Return the reason of the first, and what there is to say of all: nobody mends one by one."""
    messages = dict.fromkeys(problem.message for problem in problems)
    return ConditionState(status, problems[0].reason, "; ".join(messages)[:MAX_MESSAGE])


def _worst(pools: Sequence[PoolAssessment]) -> PoolAssessment:
    """Return the first blocked pool, or else the first."""
    return next((pool for pool in pools if pool.blocked), pools[0])


def _dated(
    states: _States, generation: int, before: TranscriptionServiceStatus, now: datetime
) -> tuple[Condition, ...]:
    """Return the conditions, each dated back to when it last changed its mind.

    What was not assessed now stays as it was, with the generation that it was about.
    """
    known = {condition.type: condition for condition in before.conditions}
    kept = known.keys() - states.keys()
    return tuple(
        known[name]
        if name in kept
        else _condition(name, states.get(name, _PENDING), generation, known.get(name), now)
        for name in ConditionType
    )


def _condition(
    name: ConditionType,
    state: ConditionState,
    generation: int,
    known: Condition | None,
    now: datetime,
) -> Condition:
    if known is not None and known.status is state.status:
        since = known.last_transition_time
    else:
        since = now.replace(microsecond=0)
    return Condition(
        type=name,
        status=state.status,
        reason=state.reason,
        message=state.message,
        last_transition_time=since,
        observed_generation=generation,
    )


def _queue(
    service: TranscriptionService, seen: Observation, before: TranscriptionServiceStatus
) -> QueueStatus:
    streams = tuple(
        StreamStatus(name=stream.key, priority=stream.priority.name, tenant=stream.tenant)
        for stream in service.serving(seen.former_tenants).streams
    )
    old = (before.queue or QueueStatus()).model_copy(update={"streams": streams})
    sample = seen.sample
    if sample is None:
        return old
    new = QueueStatus(
        streams=streams,
        queued=sample.queued,
        running=sample.running,
        dead_letters=sample.dead_letters,
        oldest_enqueue_time=sample.oldest and sample.oldest.replace(microsecond=0),
        sampled_time=sample.taken.replace(microsecond=0),
    )
    return new if _tells_more(old, new) else old


def _tells_more(old: QueueStatus, new: QueueStatus) -> bool:
    """Whether new numbers are worth a write; that they are new is not."""
    if old.sampled_time is None or new.sampled_time is None:
        return True
    if new.model_copy(update={"sampled_time": old.sampled_time}) == old:
        return False
    woke_or_slept = _is_empty(old) != _is_empty(new) or old.dead_letters != new.dead_letters
    waited = new.sampled_time - old.sampled_time
    return woke_or_slept or waited >= timedelta(seconds=SAMPLE_SECONDS)


def _is_empty(queue: QueueStatus) -> bool:
    return not (queue.queued or queue.running)


def _replicas(pools: Iterable[PoolStatus]) -> str:
    counts = [(pool.ready, pool.desired) for pool in pools]
    return f"{sum(ready for ready, _ in counts)}/{sum(desired for _, desired in counts)}"


def parse_status(resource: Mapping[str, Any]) -> TranscriptionServiceStatus:
    """Return the status that an object carries; an empty one where it carries none we can read.

    Conditions that only another version of the operator knows are left out.
    """
    status = dict(resource.get("status") or {})
    types = frozenset(ConditionType)
    status["conditions"] = [
        each for each in status.get("conditions", ()) if each.get("type") in types
    ]
    try:
        return TranscriptionServiceStatus.model_validate(status)
    except ValueError:
        return TranscriptionServiceStatus()

"""The Events that follow from the difference between two statuses of a service.

Only the status is compared, so no Event is posted twice, by a second operator or after a restart.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from whisperfleet_operator.resource import (
    Condition,
    ConditionStatus,
    ConditionType,
    Reason,
    TranscriptionServiceStatus,
)
from whisperfleet_operator.resource.reasons import BLOCKING
from whisperfleet_operator.resource.status import PoolStatus, QueueStatus

__all__ = ["ServiceEvent", "events_between"]

_WAITS = (*BLOCKING, Reason.AT_MAX_REPLICAS)
_BY_US = ", by the operator, for the autoscaler does not wake it"


@dataclass(frozen=True, slots=True)
class ServiceEvent:
    """An Event to be: `warning` where somebody should do something.

    What is `seldom` told may come and go with every job: once in some minutes is enough.
    """

    reason: str
    message: str
    warning: bool = False
    seldom: bool = False


def events_between(
    before: TranscriptionServiceStatus, after: TranscriptionServiceStatus
) -> list[ServiceEvent]:
    """Return what to tell, the most important first."""
    return [
        *_troubles(before, after),
        *_pools(before, after),
        *_dead_letters(before, after),
    ]


def _troubles(
    before: TranscriptionServiceStatus, after: TranscriptionServiceStatus
) -> Iterator[ServiceEvent]:
    was, now = _conditions(before), _conditions(after)
    told: set[Reason] = set()
    by_pools = {pool.reason for pool in after.pools if pool.reason in _WAITS}
    for name in (
        ConditionType.READY,
        ConditionType.QUEUE_REACHABLE,
        ConditionType.AUTOSCALER_READY,
    ):
        condition, earlier = now[name], was.get(name)
        if condition.status is ConditionStatus.FALSE and not _same(earlier, condition):
            if condition.reason not in (*by_pools, *told):
                told.add(condition.reason)
                yield ServiceEvent(
                    condition.reason,
                    condition.message,
                    warning=condition.reason is not Reason.SUSPENDED,
                )
        elif _mended(earlier, condition) and name is not ConditionType.READY:
            yield ServiceEvent(f"{name}Again", condition.message)
    degraded, earlier = now[ConditionType.DEGRADED], was.get(ConditionType.DEGRADED)
    if degraded.reason is Reason.CHANGED_BY_ANOTHER and not _same(earlier, degraded):
        yield ServiceEvent(degraded.reason, degraded.message, warning=True)
    if degraded.reason is Reason.TENANT_REMOVED and not _same(earlier, degraded):
        yield ServiceEvent(degraded.reason, degraded.message)
    durable, earlier = now[ConditionType.QUEUE_DURABLE], was.get(ConditionType.QUEUE_DURABLE)
    if durable.status is ConditionStatus.FALSE and not _same(earlier, durable):
        yield ServiceEvent(durable.reason, durable.message, warning=True)


def _pools(
    before: TranscriptionServiceStatus, after: TranscriptionServiceStatus
) -> Iterator[ServiceEvent]:
    earlier = {pool.name: pool for pool in before.pools}
    for pool in after.pools:
        was = earlier.get(pool.name, PoolStatus(name=pool.name))
        if pool.woken_time is not None and pool.woken_time != was.woken_time:
            yield ServiceEvent("WokenByOperator", _waking(pool, after.queue, _BY_US), warning=True)
        elif was.desired == 0 and pool.desired > 0:
            yield ServiceEvent("FleetWoke", _waking(pool, after.queue))
        elif was.desired > 0 and pool.desired == 0:
            yield ServiceEvent("FleetSleeps", f"the pool {pool.name} is scaled to zero")
        if pool.reason in _WAITS and pool.reason != was.reason:
            yield ServiceEvent(
                pool.reason,
                pool.message or "",
                warning=pool.reason is not Reason.AT_MAX_REPLICAS,
                seldom=True,
            )


def _waking(pool: PoolStatus, queue: QueueStatus | None, why: str = "") -> str:
    """Say that a pool wakes, and why as far as it shows: an empty queue may be some seconds old."""
    waking = f"the pool {pool.name} wakes{why}, pods asked for: {pool.desired}"
    jobs = ((queue.queued or 0) + (queue.running or 0)) if queue is not None else 0
    return f"{waking}, jobs in the queue: {jobs}" if jobs else waking


def _dead_letters(
    before: TranscriptionServiceStatus, after: TranscriptionServiceStatus
) -> Iterator[ServiceEvent]:
    was = before.queue.dead_letters if before.queue else None
    now = after.queue.dead_letters if after.queue else None
    if now and now > (was or 0):
        yield ServiceEvent(
            "DeadLetters",
            f"{now - (was or 0)} more jobs need a person, {now} in all: whisperfleet dlq list "
            "shows them",
            warning=True,
        )


def _conditions(status: TranscriptionServiceStatus) -> dict[ConditionType, Condition]:
    return {condition.type: condition for condition in status.conditions}


def _same(earlier: Condition | None, condition: Condition) -> bool:
    return (
        earlier is not None
        and earlier.status is condition.status
        and earlier.reason is condition.reason
    )


def _mended(earlier: Condition | None, condition: Condition) -> bool:
    return (
        earlier is not None
        and earlier.status is ConditionStatus.FALSE
        and condition.status is ConditionStatus.TRUE
    )

"""A status as it is written."""

from datetime import UTC, datetime, timedelta, timezone

from whisperfleet_operator.resource import (
    Condition,
    ConditionStatus,
    ConditionType,
    Reason,
    TranscriptionServiceStatus,
)
from whisperfleet_operator.resource.status import QueueStatus, StreamStatus

NOON = datetime(2026, 11, 21, 12, 0, 0, 999_999, tzinfo=UTC)


def test_a_status_says_nothing_of_what_is_not_known() -> None:
    status = TranscriptionServiceStatus(queue=QueueStatus(queued=0))
    assert status.to_object() == {
        "conditions": [],
        "pools": [],
        "queue": {"queued": 0, "streams": []},
    }


def test_times_are_whole_seconds_of_utc() -> None:
    berlin = NOON.astimezone(timezone(timedelta(hours=1)))
    written = TranscriptionServiceStatus(
        conditions=(
            Condition(
                type=ConditionType.READY,
                status=ConditionStatus.TRUE,
                reason=Reason.IDLE,
                message="There is no work.",
                last_transition_time=berlin,
                observed_generation=3,
            ),
        ),
        queue=QueueStatus(
            streams=(StreamStatus(name="wf:{a.b}:in:high", priority="high"),),
            oldest_enqueue_time=NOON,
        ),
    ).to_object()
    assert written["conditions"] == [
        {
            "type": "Ready",
            "status": "True",
            "reason": "Idle",
            "message": "There is no work.",
            "lastTransitionTime": "2026-11-21T12:00:00Z",
            "observedGeneration": 3,
        }
    ]
    assert written["queue"]["oldestEnqueueTime"] == "2026-11-21T12:00:00Z"


def test_what_is_written_reads_back() -> None:
    status = TranscriptionServiceStatus(model="large-v3-turbo", replicas="2/3")
    assert TranscriptionServiceStatus.model_validate(status.to_object()) == status

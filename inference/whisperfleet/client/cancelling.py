"""To end a job before its time, wherever it is."""

from datetime import UTC, datetime

from whisperfleet.client.reports import Cancelled
from whisperfleet.client.scope import Scope
from whisperfleet.contract.codes import Code
from whisperfleet.contract.events import DoneEvent
from whisperfleet.contract.result import Failure, Result
from whisperfleet.contract.states import State
from whisperfleet.queue.requests import Conversation
from whisperfleet.queue.scripts import Script

__all__ = ["cancel"]

_CANCEL = Script("cancel")


def cancel(
    scope: Scope, job_id: str, tenant: str | None, stream_name: str = "", entry: str = ""
) -> Conversation[Cancelled]:
    """Cancel a job of `tenant`.

    `stream_name` and `entry` say where it is in case that nobody has begun it yet.
    """
    keys = scope.keys
    result = Result(
        id=job_id,
        state=State.CANCELLED,
        error=Failure(code=Code.CANCELLED, message="cancelled before it was begun"),
        finished_at=datetime.now(UTC),
        tenant=tenant,
    )
    event = DoneEvent(
        id=job_id,
        state=State.CANCELLED,
        stream=stream_name,
        entry=entry,
        code=Code.CANCELLED,
        tenant=tenant,
    )
    answer = yield from _CANCEL.ask(
        [
            keys.job(job_id),
            keys.result(job_id),
            keys.done,
            keys.counters,
            keys.running,
            # A key has to be named all the same, and one that the caller may name.
            keys.stream_named(stream_name or scope.stream_names[0]),
            *map(keys.stream_named, scope.stream_names),
        ],
        [
            keys.group,
            keys.prefix,
            entry,
            scope.tenant or "",
            job_id,
            result.model_dump_json(),
            round(scope.policy.result_seconds * 1000),
            scope.policy.done_max_length,
            *(part for pair in event.to_fields().items() for part in pair),
        ],
    )
    return Cancelled(answer.decode())

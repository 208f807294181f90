"""What is published of a job that ended: its result, its done event, its dead letter, its usage."""

import traceback
from collections.abc import Mapping
from datetime import UTC, datetime

from whisperfleet.contract.codes import Code
from whisperfleet.contract.events import DeadLetter, DoneEvent
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.result import Result
from whisperfleet.contract.states import TERMINAL, State
from whisperfleet.contract.usage import Usage
from whisperfleet.errors import JobError
from whisperfleet.queue.leases import Claim
from whisperfleet.queue.outcomes import Buried, Concluded, cancelled_while_waiting, failure
from whisperfleet.queue.scripts import milliseconds
from whisperfleet.settings import QueuePolicy

__all__ = ["cancellation", "publication"]

_MAX_TRACEBACK_CHARACTERS = 4000
_MAX_CAUSES = 8

Argument = str | bytes | int


def publication(
    keys: Keys, policy: QueuePolicy, consumer: str, claim: Claim, outcome: Concluded | Buried
) -> tuple[list[str], list[Argument]]:
    """Return the keys and arguments of FINISH.

    The queue itself fills in the id, the epoch, the tenant, the time, and how long the job waited.
    Raises ValueError for a result that is no end.
    """
    match outcome:
        case Concluded(result, conflicts_with):
            if result.state not in TERMINAL or result.state is State.DEAD:
                raise ValueError(
                    f"a result is not published as {result.state}; dead jobs are Buried"
                )
            letter, kept_seconds = None, policy.result_seconds
        case Buried(code, message, error):
            cause = error.code if isinstance(error, JobError) and error.code is not code else None
            result = failure(claim, State.DEAD, code, message, cause)
            letter, conflicts_with = _letter(claim, consumer, outcome, cause), None
            kept_seconds = policy.dead_letter_seconds
    usage = _usage(claim, result)
    tenant = claim.tenant
    stamped = result.model_copy(
        update={
            "id": claim.job_id,
            "epoch": claim.epoch,
            "tenant": tenant,
            "finished_at": result.finished_at or datetime.now(UTC),
            "usage": usage,
        }
    )
    error_code = result.error.code if result.error else None
    event = _flatten(
        DoneEvent(
            id=claim.job_id,
            state=result.state,
            epoch=claim.epoch,
            stream=claim.stream_name,
            entry=claim.entry_id,
            code=error_code,
            warnings=len(result.warnings),
            tenant=tenant,
            conflicts_with=conflicts_with,
            usage=usage,
        ).to_fields()
    )
    return [
        claim.stream,
        keys.job(claim.job_id),
        keys.result(claim.job_id),
        keys.done,
        keys.counters,
        keys.running,
        keys.dead_letters,
        keys.usage,
    ], [
        keys.group,
        claim.entry_id,
        claim.epoch,
        str(result.state),
        error_code or "",
        stamped.model_dump_json(),
        milliseconds(kept_seconds),
        policy.done_max_length,
        policy.dead_letter_max_length,
        f"{claim.stream_name}/{claim.entry_id}",
        usage.sums(),
        claim.priority,
        tenant or "",
        len(event),
        *event,
        *(_flatten(letter.to_fields()) if letter else ()),
    ]


def cancellation(
    policy: QueuePolicy, job_id: str, stream_name: str, entry: str, tenant: str | None, epoch: int
) -> list[Argument]:
    """Return the arguments of CANCEL from the sixth on: what it publishes where the job waits."""
    result = cancelled_while_waiting(job_id, tenant, epoch)
    usage = Usage(attempts=max(0, epoch - 1))
    event = DoneEvent(
        id=job_id,
        state=State.CANCELLED,
        epoch=epoch,
        stream=stream_name,
        entry=entry,
        code=Code.CANCELLED,
        tenant=tenant,
        usage=usage,
    )
    return [
        result.model_copy(update={"usage": usage}).model_dump_json(),
        milliseconds(policy.result_seconds),
        policy.done_max_length,
        epoch,
        *_flatten(event.to_fields()),
    ]


def _usage(claim: Claim, result: Result) -> Usage:
    """Return what the worker measured with what the queue knows."""
    waited = round(max(0.0, claim.claimed_at - claim.enqueued_at), 3)
    return (result.usage or Usage()).model_copy(
        update={"queue_seconds": waited, "attempts": claim.epoch}
    )


def _letter(claim: Claim, consumer: str, outcome: Buried, cause: Code | None) -> DeadLetter:
    return DeadLetter(
        id=claim.job_id,
        stream=claim.stream_name,
        entry=claim.entry_id,
        code=outcome.code,
        message=outcome.message,
        cause=cause,
        epoch=claim.epoch,
        deliveries=claim.deliveries,
        releases=claim.releases,
        retries=claim.retries,
        worker=consumer,
        tenant=claim.tenant,
        traceback=_trace(outcome.error)[-_MAX_TRACEBACK_CHARACTERS:],
        fields=dict(claim.fields),
    )


def _trace(error: BaseException | None) -> str:
    """Return where an error and those behind it were raised, the first of them first.

    Without their messages, which may name what a producer sent: a signed address, a prompt.
    """
    parts: list[str] = []
    while error is not None and len(parts) < _MAX_CAUSES:
        parts.append("".join(traceback.format_tb(error.__traceback__)) + type(error).__name__)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(reversed(parts))


def _flatten(fields: Mapping[bytes, bytes]) -> list[bytes]:
    return [part for pair in fields.items() for part in pair]

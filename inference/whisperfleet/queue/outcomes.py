"""How a job ends: the outcomes there are, and what decides for which of them. Nothing here does it.

A claim ends by one outcome, whoever comes to it: the worker after its attempt, the queue where it
refuses an entry or takes no more hand-backs, a client that cancels what waits.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, Self

from whisperfleet.contract.codes import Code
from whisperfleet.contract.job import Job, read_metadata
from whisperfleet.contract.result import Failure, Result
from whisperfleet.contract.sizes import MAX_ENTRY_BYTES, MAX_INLINE_AUDIO_BYTES
from whisperfleet.contract.states import State
from whisperfleet.errors import JobError, MachineError, MalformedEntryError, TransientError
from whisperfleet.queue.leases import Claim, Stop

__all__ = [
    "ENTRY_LOST",
    "SUSPECT",
    "Buried",
    "Concluded",
    "Ending",
    "Left",
    "Outcome",
    "Released",
    "Retried",
    "Settled",
    "cancelled_while_waiting",
    "decide",
    "failure",
    "given_up",
    "overdue",
    "refuse",
    "stopped_for_good",
]


@dataclass(frozen=True, slots=True)
class Concluded:
    """Its result is published: done, failed, cancelled or expired.

    `conflicts_with` is the id that the job asked for and that another has.
    """

    result: Result
    conflicts_with: str | None = None


@dataclass(frozen=True, slots=True)
class Buried:
    """It goes among the dead letters, from where a person can send it again.

    The letter tells where `error` was raised, and its code where that says more than `code`.
    """

    code: Code
    message: str
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class Retried:
    """A passing failure: it goes back, to be begun after a delay of at most a lease.

    Once its retries are used up it is buried.
    """

    error: JobError
    delay_seconds: float


@dataclass(frozen=True, slots=True)
class Released:
    """It goes back to be begun by another, after a delay of at most a lease.

    `why` is for its history. `is_forgiven`: as if it had not been begun; else it is tried alone
    soon, and buried in the end, like one whose worker broke. Once it was handed back too often it
    is buried too.
    """

    why: str = "was handed back"
    is_forgiven: bool = True
    delay_seconds: float = 0.0


# One that may have broken its worker.
SUSPECT = Released("was handed back by a worker that broke", is_forgiven=False)


@dataclass(frozen=True, slots=True)
class Left:
    """It is another attempt's by now, so nothing is told of it."""


Outcome = Concluded | Buried | Retried | Released | Left


@dataclass(frozen=True, slots=True)
class Ending:
    """A job that ended without being begun."""

    job_id: str
    state: State
    code: Code

    @classmethod
    def of(cls, job_id: str, outcome: Concluded | Buried) -> Self:
        """Return how a job ended by this outcome."""
        if isinstance(outcome, Buried):
            return cls(job_id, State.DEAD, outcome.code)
        error = outcome.result.error
        return cls(job_id, State(outcome.result.state), Code(error.code if error else ""))


ENTRY_LOST = Buried(
    Code.ENTRY_LOST,
    "its entry vanished from the stream while it was pending; send the job again",
)


class Settled(StrEnum):
    """What became of an outcome.

    PUBLISHED: the job is over. ALREADY: this very attempt had published it, and the reply was lost.
    RELEASED: it waits again. EXHAUSTED: it had been handed back or retried too often and is a dead
    letter now. LOST: somebody else deleted its entry, and it is a dead letter too. FENCED: it is no
    longer this attempt's; nothing was written.
    """

    PUBLISHED = "published"
    ALREADY = "already"
    RELEASED = "released"
    EXHAUSTED = "exhausted"
    LOST = "lost"
    FENCED = "fenced"


def decide(came_of_it: Result | Stop | Exception, retry_seconds: float) -> Outcome:
    """Return the outcome of an attempt: by its result, by why it stopped, or by what went wrong.

    A passing failure is tried again after `retry_seconds`.
    """
    match came_of_it:
        case Result():
            return Concluded(came_of_it)
        case Stop():
            return _STOPPED.get(came_of_it, Released())
        case MalformedEntryError():
            return Buried(came_of_it.code, came_of_it.message)
        case MachineError():
            return Released("was handed back: its worker's machine failed")
        case TransientError():
            return Retried(came_of_it, retry_seconds)
        case _:
            return Retried(_internal(came_of_it), retry_seconds)


_STOPPED: Final[dict[Stop, Outcome]] = {Stop.FENCED: Left(), Stop.ENGINE_LOST: SUSPECT}


def _internal(fault: Exception) -> TransientError:
    """Return what is told of a fault of ours; a dead letter tells where it was raised."""
    internal = TransientError(
        Code.INTERNAL, f"the worker failed ({type(fault).__name__}); its log has the traceback"
    )
    internal.__cause__ = fault
    return internal


def refuse(claim: Claim, verdict: str, note: str) -> Concluded | Buried:
    """Return the outcome of a claim that needs no work, by the claim script's verdict and note."""
    match verdict:
        case "cancelled":
            return _concluded(claim, State.CANCELLED, Code.CANCELLED, _CANCELLED_EARLY)
        case "conflict":
            message = (
                f"the id {note} belongs to a job with another payload or tenant, or is of the "
                "queue's own form; choose another id"
            )
            return _concluded(claim, State.FAILED, Code.CONFLICTING_ID, message, note)
        case "oversize":
            message = (
                f"the entry has {note} bytes and {MAX_ENTRY_BYTES} are allowed, of which "
                f"{MAX_INLINE_AUDIO_BYTES} are for `audio`; store the file and send its `url`"
            )
            return _concluded(claim, State.FAILED, Code.TOO_LARGE, message)
        case "exhausted":
            message = (
                f"begun {claim.deliveries} times and never ended: it may bring down its worker; "
                "look at the history before a redrive"
            )
            return Buried(Code.DELIVERIES_EXHAUSTED, message)
        case "malformed":
            return Buried(Code.MALFORMED_ENTRY, note)
        case "lost":
            return ENTRY_LOST
    raise ValueError(f"the claim script gave the verdict {verdict!r}")


def given_up(claim: Claim, outcome: Retried | Released) -> Buried:
    """Return the outcome of a job that may go back no more."""
    match outcome:
        case Retried(error):
            message = f"gave up after {claim.retries} retries; at last {error}"
            return Buried(Code.RETRIES_EXHAUSTED, message, error)
        case Released(why):
            return Buried(
                Code.RELEASES_EXHAUSTED,
                f"{why} and {claim.releases} times before that; give workers more time to drain, "
                "or more room for files, then redrive it",
            )


def overdue(job: Job, claim: Claim) -> Failure | None:
    """Return why a job expired, None for one that is in time.

    The latest attempt counts: whoever set the deadline has no use for words after it, and an
    earlier attempt may have ended before it could tell that it was too late.
    """
    # Both moments are of the server's clock or the producer's word: workers' clocks decide nothing.
    if job.deadline is None or job.deadline.timestamp() > claim.claimed_at:
        return None
    late = timedelta(seconds=round(claim.claimed_at - job.deadline.timestamp()))
    return Failure(
        code=Code.DEADLINE_PASSED,
        message=f"its deadline had passed {late} before this attempt, number {claim.epoch}, began; "
        "send it again with a later one, or give the fleet more replicas",
    )


def stopped_for_good(stop: Stop, timeout_seconds: float) -> tuple[State, Failure] | None:
    """Return the state and the error of a job that nobody takes up again; None for others."""
    match stop:
        case Stop.CANCELLED:
            return State.CANCELLED, Failure(code=Code.CANCELLED, message="it was cancelled")
        case Stop.TIMEOUT:
            return State.FAILED, Failure(
                code=Code.JOB_TIMEOUT,
                message=f"it took more than {timeout_seconds:g} s; cut the audio, or raise the "
                "worker's job timeout",
            )
    return None


_CANCELLED_EARLY = "cancelled before it was begun"


def cancelled_while_waiting(job_id: str, tenant: str | None, epoch: int) -> Result:
    """Return the result of a job that was cancelled while it waited."""
    return Result(
        id=job_id,
        state=State.CANCELLED,
        error=Failure(code=Code.CANCELLED, message=_CANCELLED_EARLY),
        epoch=epoch,
        finished_at=datetime.now(UTC),
        tenant=tenant,
    )


def failure(
    claim: Claim, state: State, code: Code, message: str, cause: Code | None = None
) -> Result:
    """Return the result of a claim that gave no words, with the job's metadata where it has any."""
    return Result(
        id=claim.job_id,
        state=state,
        error=Failure(code=code, message=message, cause=cause),
        epoch=claim.epoch,
        metadata=read_metadata(claim.fields),
        tenant=claim.tenant,
    )


def _concluded(
    claim: Claim, state: State, code: Code, message: str, conflicts_with: str | None = None
) -> Concluded:
    return Concluded(failure(claim, state, code, message), conflicts_with)

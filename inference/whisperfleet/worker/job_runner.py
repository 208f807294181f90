"""A job from its claim to its end: carry it out, and have the queue settle what came of it."""

import logging

import redis

from whisperfleet.backoff import Backoff
from whisperfleet.contract.codes import Code
from whisperfleet.contract.result import Result
from whisperfleet.contract.states import State
from whisperfleet.contract.usage import Usage
from whisperfleet.errors import MachineError, MalformedEntryError, TransientError
from whisperfleet.queue import (
    Buried,
    Claim,
    Concluded,
    Ending,
    Left,
    Outcome,
    Retried,
    Settled,
    WorkQueue,
)
from whisperfleet.queue.faults import Outlook, explain, outlook
from whisperfleet.queue.outcomes import decide
from whisperfleet.worker import logs, metrics
from whisperfleet.worker.control import Interrupted, JobControl
from whisperfleet.worker.needs import Need
from whisperfleet.worker.parts import MachineWatch, Pipeline
from whisperfleet.worker.standing import Standing

__all__ = ["JobRunner"]

log = logging.getLogger(__name__)

_RETRY = Backoff(2.0, 60.0)


class JobRunner:
    """Carries claims out, one at a time on each thread that calls it."""

    def __init__(
        self, queue: WorkQueue, pipeline: Pipeline, standing: Standing, machine: MachineWatch
    ) -> None:
        self._queue = queue
        self._pipeline = pipeline
        self._standing = standing
        self._machine = machine

    def carry_out(self, claim: Claim, control: JobControl) -> None:
        """Carry a claim out and settle it; what goes wrong is logged and counted, not raised."""
        logs.job_id.set(claim.job_id)
        try:
            outcome, reason = self._attempt(claim, control)
            _tell_before(outcome)
            settled = self._settle(claim, outcome)
            if not isinstance(outcome, Left):
                self._standing.note(Need.PUBLISH)
            _tell_after(outcome, settled, reason)
            metrics.finishes.labels(settled.value).inc()
        except redis.RedisError as error:
            self._machine.blame(error)
            # What passes keeps claims and renewals from Redis too. What ends is about this job's
            # own keys; the next one has others.
            if outlook(error) is Outlook.REFUSED:
                trouble = f"results cannot be published: Redis {explain(error)}"
                self._standing.note(Need.PUBLISH, trouble)
            metrics.queue_errors.labels("settle").inc()
            log.error(
                "another worker will repeat the job: its end cannot be told, for Redis %s",
                explain(error),
            )
        except Exception:
            log.exception("settling the job failed; another worker will repeat it")
        finally:
            logs.job_id.set(None)

    def note_ending(self, ending: Ending) -> None:
        """Log and count a job that the queue ended before it was begun."""
        metrics.jobs.labels(ending.state.value, ending.code.value).inc()
        log.warning(
            "the job ended before it was begun",
            extra={"job_id": ending.job_id, "state": ending.state.value, "code": ending.code.value},
        )

    def _settle(self, claim: Claim, outcome: Outcome) -> Settled:
        settled = None
        try:
            settled = self._queue.settle(claim, outcome)
        finally:
            if settled not in {Settled.PUBLISHED, Settled.ALREADY}:
                metrics.lost_device_seconds.inc(_device_seconds(outcome))
        return settled

    def _attempt(self, claim: Claim, control: JobControl) -> tuple[Outcome, str]:
        """Carry a claim out; return how it is to end, and why where it goes back."""
        # Redis holds an entry back for at most a lease.
        delay = min(_RETRY.seconds(claim.retries + 1), self._queue.policy.lease_seconds)
        try:
            result = self._pipeline.run(claim, control)
        except Interrupted as interrupted:
            log.info("the job stops", extra={"reason": interrupted.stop.value})
            return decide(interrupted.stop, delay), interrupted.stop.value
        except MalformedEntryError as error:
            log.warning("the entry is no job: %s", error)
            return decide(error, delay), ""
        except MachineError as error:
            self._machine.blame(error)
            log.warning("the job goes back, for it cannot go on here: %s", error)
            return decide(error, delay), "machine"
        except TransientError as error:
            return decide(error, delay), error.code.value
        except Exception as error:
            log.exception("the job failed in a way that is not the producer's fault")
            return decide(error, delay), Code.INTERNAL.value
        return decide(result, delay), ""


def _device_seconds(outcome: Outcome) -> float:
    match outcome:
        case Concluded(Result(usage=Usage(device_seconds=seconds))):
            return seconds
    return 0.0


def _tell_before(outcome: Outcome) -> None:
    """Log and count what is known of a job's end whether it can be published or not."""
    match outcome:
        case Concluded(result):
            code = str(result.error.code) if result.error else ""
            metrics.jobs.labels(str(result.state), code).inc()
            for warning in result.warnings:
                metrics.warnings.labels(str(warning.code)).inc()
            log.info(
                "the job ended",
                extra={
                    "state": str(result.state),
                    "code": code,
                    "warnings": len(result.warnings),
                    **result.timing.model_dump(),
                },
            )
        case Buried(code):
            metrics.jobs.labels(State.DEAD.value, code.value).inc()


def _tell_after(outcome: Outcome, settled: Settled, reason: str) -> None:
    """Log and count a job as handed back, or among the dead where that is what it now is."""
    match settled, outcome:
        case Settled.RELEASED, Retried(error, delay):
            log.warning("the job is tried again in %.1f s: %s", delay, error)
        case _, Retried(error):
            log.error("the job is not tried again (%s): %s", settled.value, error)
    match settled, outcome:
        case Settled.RELEASED, _:
            metrics.releases.labels(reason).inc()
        case Settled.EXHAUSTED, Retried():
            metrics.jobs.labels(State.DEAD.value, Code.RETRIES_EXHAUSTED.value).inc()
        case Settled.EXHAUSTED, _:
            metrics.jobs.labels(State.DEAD.value, Code.RELEASES_EXHAUSTED.value).inc()
        case Settled.LOST, _:
            metrics.jobs.labels(State.DEAD.value, Code.ENTRY_LOST.value).inc()

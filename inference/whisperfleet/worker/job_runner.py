"""How a claim ends: carry the job out and tell the queue what came of it."""

import logging
from collections.abc import Callable
from functools import partial

import redis

from whisperfleet.backoff import Backoff
from whisperfleet.contract.codes import Code
from whisperfleet.contract.states import State
from whisperfleet.errors import MachineError, MalformedEntryError, TransientError
from whisperfleet.queue import Claim, Ending, Finished, Released, WorkQueue
from whisperfleet.queue.faults import Outlook, explain, outlook
from whisperfleet.worker import logs, metrics
from whisperfleet.worker.control import Interrupted, JobControl, Stop
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
            answer = self._attempt(claim, control)()
            if isinstance(answer, (Finished, Released)):
                self._standing.note(Need.PUBLISH)
            metrics.finishes.labels(str(answer)).inc()
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

    def _attempt(self, claim: Claim, control: JobControl) -> Callable[[], object]:
        """Carry a claim out and return the call that settles it."""
        try:
            result = self._pipeline.run(claim, control)
        except Interrupted as interrupted:
            return self._stopped(claim, interrupted.stop)
        except MalformedEntryError as error:
            log.warning("the entry is no job: %s", error)
            metrics.jobs.labels(State.DEAD.value, error.code.value).inc()
            return partial(self._queue.bury, claim, error.code, error.message)
        except MachineError as error:
            self._machine.blame(error)
            log.warning("the job goes back, for it cannot go on here: %s", error)
            return partial(self._release, claim, "machine", self._queue.release_unserved)
        except TransientError as error:
            return partial(self._retry, claim, error)
        except Exception as error:
            log.exception("the job failed in a way that is not the producer's fault")
            internal = TransientError(
                Code.INTERNAL,
                f"the worker failed ({type(error).__name__}); its log has the traceback",
            )
            # A dead letter tells where it was raised.
            internal.__cause__ = error
            return partial(self._retry, claim, internal)
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
        return partial(self._queue.finish, claim, result)

    def _stopped(self, claim: Claim, stop: Stop) -> Callable[[], object]:
        log.info("the job stops", extra={"reason": stop.value})
        if stop is Stop.FENCED:
            return lambda: "fenced"
        suspect = stop is Stop.ENGINE_LOST
        hand_back = self._queue.release_suspect if suspect else self._queue.release
        return partial(self._release, claim, stop.value, hand_back)

    def _release(
        self, claim: Claim, reason: str, hand_back: Callable[[Claim], Released]
    ) -> Released:
        outcome = hand_back(claim)
        _count(outcome, reason, Code.RELEASES_EXHAUSTED)
        return outcome

    def _retry(self, claim: Claim, error: TransientError) -> Released:
        # Redis holds an entry back for at most a lease.
        delay = min(_RETRY.seconds(claim.retries + 1), self._queue.policy.lease_seconds)
        outcome = self._queue.retry(claim, error, delay)
        if outcome is Released.RELEASED:
            log.warning("the job is tried again in %.1f s: %s", delay, error)
        else:
            log.error("the job is not tried again (%s): %s", outcome.value, error)
        _count(outcome, error.code.value, Code.RETRIES_EXHAUSTED)
        return outcome


def _count(outcome: Released, reason: str, once_too_often: Code) -> None:
    """Count a job as handed back, or among the dead where that is what it now is."""
    match outcome:
        case Released.RELEASED:
            metrics.releases.labels(reason).inc()
        case Released.EXHAUSTED:
            metrics.jobs.labels(State.DEAD.value, once_too_often.value).inc()
        case Released.LOST:
            metrics.jobs.labels(State.DEAD.value, Code.ENTRY_LOST.value).inc()

"""Threads that claim a job, carry it out and claim the next; a drain at the end."""

import logging
import random
import threading
import time
from dataclasses import dataclass

import redis

from whisperfleet.backoff import Backoff
from whisperfleet.queue import Claim, Released, WorkQueue
from whisperfleet.queue.faults import explain
from whisperfleet.worker import metrics
from whisperfleet.worker.control import JobControl, Stop
from whisperfleet.worker.job_runner import JobRunner
from whisperfleet.worker.needs import Need
from whisperfleet.worker.parts import Clock, Leases, MachineWatch, Pipeline
from whisperfleet.worker.standing import Standing

__all__ = ["WAIT_SECONDS", "LoopLimits", "WorkLoop"]

log = logging.getLogger(__name__)

WAIT_SECONDS = 1.0
_OUTAGE = Backoff(0.4, 5.0)
# It is never urgent.
_PRUNE_SECONDS = 300.0
# What is left of the notice after the drain, to hand back what did not fit.
_HAND_BACK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class LoopLimits:
    """See WorkerSettings for the meaning of the first three.

    A blocking wait for work ends after `wait_seconds`, so that a stop is noticed. Consumers that
    are gone and old dead letters are forgotten every `prune_seconds`.
    """

    max_in_flight: int
    job_timeout_seconds: float
    drain_seconds: float
    wait_seconds: float = WAIT_SECONDS
    prune_seconds: float = _PRUNE_SECONDS


class WorkLoop:
    """One thread a job in flight; they take turns at claiming.

    A thread that claims carries its job out itself: handing it to another costs more than the queue
    does. `run` returns once the worker has drained.
    """

    def __init__(
        self,
        queue: WorkQueue,
        pipeline: Pipeline,
        leases: Leases,
        limits: LoopLimits,
        standing: Standing,
        machine: MachineWatch,
        *,
        clock: Clock = time.monotonic,
    ) -> None:
        self._clock = clock
        self._queue = queue
        self._runner = JobRunner(queue, pipeline, standing, machine)
        self._leases = leases
        self._limits = limits
        self._standing = standing
        self._machine = machine
        # Whose turn it is to claim; a queue serves one claim at a time.
        self._turn = threading.Lock()
        self._claim_began: float | None = None
        self._changed = threading.Condition()
        self._in_flight: dict[Claim, JobControl] = {}
        self._outages = 0
        self._next_prune = 0.0
        self._obstacle = ""
        metrics.in_flight.set_function(lambda: len(self._in_flight))

    @property
    def obstacle(self) -> str:
        """What keeps jobs from being taken; nothing where they are."""
        return self._obstacle

    @property
    def claiming_seconds(self) -> float:
        """How long the current call to the queue has taken; 0 between calls."""
        began = self._claim_began
        return 0.0 if began is None else self._clock() - began

    @property
    def overdue_seconds(self) -> float:
        """For how long the longest job in flight has gone on though its time is up."""
        now = self._clock()
        with self._changed:
            return max((0.0, *(now - control.ends for control in self._in_flight.values())))

    def run(self, stopped: threading.Event) -> None:
        """Work until `stopped` is set, then drain."""
        for number in range(self._limits.max_in_flight):
            # Daemons: one that is stuck in a library must not keep the process from ending.
            threading.Thread(
                target=self._work, args=(stopped,), name=f"job-{number}", daemon=True
            ).start()
        stopped.wait()
        self._drain()

    def hand_back(self) -> None:
        """Have every job in flight stop at its next check, and be handed back."""
        with self._changed:
            controls = list(self._in_flight.values())
        for control in controls:
            control.stop(Stop.DRAINING)

    def _work(self, stopped: threading.Event) -> None:
        while not stopped.is_set():
            with self._turn:
                if stopped.is_set():
                    return
                claim, control = self._claim(stopped)
                if claim and claim.suspect:
                    # What brought down its former workers shall not take others' jobs with it: all
                    # others wait for their turn while it runs.
                    self._wait_until_alone(claim, control, stopped)
                    self._carry_out(claim, control)
                    continue
            if claim:
                self._carry_out(claim, control)

    def _claim(self, stopped: threading.Event) -> tuple[Claim | None, JobControl]:
        """Return a claim that is held and in flight, or None after a wait for work."""
        control = JobControl(self._limits.job_timeout_seconds, self._leases.step, self._clock)
        if not self._may_claim():
            stopped.wait(self._limits.wait_seconds)
            return None, control
        self._claim_began = self._clock()
        try:
            self._prune_if_due()
            with self._leases.claiming():
                claim = self._queue.claim(self._runner.note_ending)
                if claim:
                    self._take_in(claim, control)
            if not claim:
                self._queue.wait(self._limits.wait_seconds)
        except redis.RedisError as error:
            self._machine.blame(error)
            self._pause(stopped, f"nothing can be claimed: Redis {explain(error)}")
            return None, control
        except Exception as error:
            log.exception("claiming failed in a way that is not Redis's")
            self._machine.blame(error)
            self._pause(stopped, "nothing can be claimed; the log has the traceback")
            return None, control
        finally:
            self._claim_began = None
        self._outages = 0
        self._standing.note(Need.CLAIM)
        return claim, control

    def _take_in(self, claim: Claim, control: JobControl) -> None:
        metrics.jobs_claimed.labels(claim.priority, claim.stream_name).inc()
        metrics.claims.labels(claim.priority).inc()
        if claim.suspect:
            control.stop_clock()
        self._leases.hold(claim, control)
        with self._changed:
            self._in_flight[claim] = control

    def _pause(self, stopped: threading.Event, trouble: str) -> None:
        self._claim_began = None
        self._outages += 1
        self._standing.note(Need.CLAIM, trouble)
        metrics.queue_errors.labels("claim").inc()
        pause = _OUTAGE.seconds(self._outages)
        log.warning("%s; trying again in %.1f s", trouble, pause)
        stopped.wait(pause)

    def _may_claim(self) -> bool:
        """Return whether a job that is claimed now could be kept, carried out and ended."""
        obstacle = self._find_obstacle()
        if obstacle != self._obstacle:
            self._obstacle = obstacle
            if obstacle:
                log.error("%s; the worker claims no more until that is over", obstacle)
            else:
                log.info("what kept the worker from claiming is over; claiming again")
        return not obstacle

    def _find_obstacle(self) -> str:
        lease_seconds = self._queue.policy.lease_seconds
        if self._leases.seconds_since_renewal > lease_seconds:
            return (
                f"leases have not been renewed for {lease_seconds:g} s, so others take this "
                "worker's jobs"
            )
        return self._standing.trouble(Need.MACHINE) or self._standing.trouble(Need.PUBLISH)

    def _prune_if_due(self) -> None:
        if self._clock() >= self._next_prune:
            seconds = self._limits.prune_seconds
            self._next_prune = self._clock() + seconds * random.uniform(0.5, 1.0)  # noqa: S311
            self._queue.prune()

    def _wait_until_alone(
        self, claim: Claim, control: JobControl, stopped: threading.Event
    ) -> None:
        """Return when the job may begin, or was told to stop: at the latest by a drain."""
        with self._changed:
            while len(self._in_flight) > 1 and not control.stopping:
                if stopped.is_set():
                    control.stop(Stop.DRAINING)
                    return
                self._changed.wait(self._limits.wait_seconds)
        control.start_clock()
        self._leases.hold(claim, control)

    def _carry_out(self, claim: Claim, control: JobControl) -> None:
        try:
            self._runner.carry_out(claim, control)
        finally:
            self._leases.drop(claim)
            with self._changed:
                self._in_flight.pop(claim, None)
                self._changed.notify_all()

    def _drain(self) -> None:
        """Let jobs finish while the notice lasts, then hand the rest back."""
        log.info("draining", extra={"in_flight": len(self._in_flight)})
        notice = self._limits.drain_seconds
        self._wait_until_empty(max(0.0, notice - _HAND_BACK_SECONDS))
        self.hand_back()
        self._wait_until_empty(min(_HAND_BACK_SECONDS, notice) / 2)
        # A thread may still be inside its last call to the queue, and come back with a claim.
        if self._turn.acquire(timeout=2 * self._limits.wait_seconds):
            self._turn.release()
        for claim in list(self._in_flight):
            # Its thread is inside a step that cannot be interrupted, or has only just claimed it;
            # whatever it does later is fenced.
            try:
                self._queue.settle(claim, Released())
            except redis.RedisError as error:
                log.error(
                    "cannot hand back %s: Redis %s; its lease will lapse",
                    claim.job_id,
                    explain(error),
                )

    def _wait_until_empty(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._in_flight, seconds)

"""How a claim ends: published, buried, or handed back. Each is one script, safe to repeat."""

import time
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial

import redis

from whisperfleet.contract.codes import Code
from whisperfleet.contract.events import DeadLetter, DoneEvent
from whisperfleet.contract.job import read_metadata
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.result import Failure, Result
from whisperfleet.contract.states import TERMINAL, State
from whisperfleet.errors import JobError
from whisperfleet.queue.faults import Outlook, outlook
from whisperfleet.queue.leases import Claim, Finished, Released
from whisperfleet.queue.scripts import Script
from whisperfleet.settings import QueuePolicy

__all__ = ["Finisher", "failure", "milliseconds"]

_FINISH = Script("finish")
_RELEASE = Script("release")
_MAX_TRACEBACK_CHARACTERS = 4000
_MAX_CAUSES = 8
_REPEAT_SECONDS = 0.5
# A job that cannot be handed back is not lost: its lease lapses.
_HAND_BACK_SECONDS = 2.0


def milliseconds(seconds: float) -> int:
    """Return whole milliseconds, the unit of the scripts."""
    return round(seconds * 1000)


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


class Finisher:
    """Ends claims for one consumer of one queue; may be shared by threads.

    A result is worth insisting on: while Redis does not answer it is offered again for
    `publish_seconds`.
    """

    def __init__(
        self,
        client: redis.Redis,
        keys: Keys,
        consumer: str,
        policy: QueuePolicy,
        publish_seconds: float,
    ) -> None:
        self._client = client
        self._keys = keys
        self._consumer = consumer
        self._policy = policy
        self._publish_seconds = publish_seconds

    def finish(self, claim: Claim, result: Result, conflicts_with: str | None = None) -> Finished:
        """Publish the result of a claim: done, failed, cancelled or expired."""
        if result.state not in TERMINAL or result.state is State.DEAD:
            raise ValueError(
                f"a result is not published as {result.state}; `bury` is for dead jobs"
            )
        return self._publish(claim, result, None, conflicts_with)

    def bury(
        self, claim: Claim, code: Code, message: str, error: BaseException | None = None
    ) -> Finished:
        """Put a job among the dead letters, from where a person can send it again.

        The letter tells where `error` was raised, and its code where that says more than `code`.
        """
        cause = error.code if isinstance(error, JobError) and error.code is not code else None
        letter = DeadLetter(
            id=claim.job_id,
            stream=claim.stream_name,
            entry=claim.entry_id,
            code=code,
            message=message,
            cause=cause,
            epoch=claim.epoch,
            deliveries=claim.deliveries,
            releases=claim.releases,
            retries=claim.retries,
            worker=self._consumer,
            tenant=claim.tenant,
            traceback=_trace(error)[-_MAX_TRACEBACK_CHARACTERS:],
            fields=dict(claim.fields),
        )
        return self._publish(claim, failure(claim, State.DEAD, code, message, cause), letter, None)

    def bury_lost(self, claim: Claim) -> Finished:
        """Bury a job whose entry somebody else deleted."""
        message = "its entry vanished from the stream while it was pending; send the job again"
        return self.bury(claim, Code.ENTRY_LOST, message)

    def release(self, claim: Claim, delay_seconds: float = 0.0) -> Released:
        """Hand a job back as if it had not been begun."""
        return self._release(claim, delay_seconds, "was handed back", forgiven=1)

    def release_suspect(self, claim: Claim) -> Released:
        """Hand a job back that may have broken its worker; this delivery counts."""
        return self._release(claim, 0.0, "was handed back by a worker that broke", forgiven=0)

    def release_unserved(self, claim: Claim) -> Released:
        """Hand a job back that a worker's machine had no room for; as if it had not been begun."""
        return self._release(claim, 0.0, "was handed back: its worker's machine failed", forgiven=1)

    def _release(self, claim: Claim, delay_seconds: float, why: str, *, forgiven: int) -> Released:
        cap = self._policy.max_releases
        outcome = self._hand_back(claim, delay_seconds, "releases", cap, why, forgiven)
        if outcome is Released.EXHAUSTED:
            self.bury(
                claim,
                Code.RELEASES_EXHAUSTED,
                f"{why} and {claim.releases} times before that; give workers more time to drain, "
                "or more room for files, then redrive it",
            )
        return outcome

    def retry(self, claim: Claim, error: JobError, delay_seconds: float) -> Released:
        """Hand a job back because of a passing failure; once its retries are used up, bury it."""
        outcome = self._hand_back(
            claim, delay_seconds, "retries", self._policy.max_retries, f"failed: {error.code}", 1
        )
        if outcome is Released.EXHAUSTED:
            self.bury(
                claim,
                Code.RETRIES_EXHAUSTED,
                f"gave up after {claim.retries} retries; at last {error}",
                error,
            )
        return outcome

    def _hand_back(
        self, claim: Claim, delay_seconds: float, count: str, cap: int, why: str, forgiven: int
    ) -> Released:
        """Run the script; of the deliveries so many are taken back."""
        lease_ms = milliseconds(self._policy.lease_seconds)
        keys = [
            claim.stream,
            self._keys.job(claim.job_id),
            self._keys.wakeup,
            self._keys.counters,
        ]
        arguments: list[str | bytes | int] = [
            self._keys.group,
            self._consumer,
            claim.entry_id,
            claim.epoch,
            lease_ms,
            min(lease_ms, milliseconds(delay_seconds)),
            count,
            cap,
            why,
            forgiven,
        ]
        answer = _insist(
            partial(_RELEASE.run, self._client, keys, arguments), _HAND_BACK_SECONDS
        ).decode()
        if answer == "lost":
            self.bury_lost(claim)
            return Released.LOST
        return Released(answer)

    def _publish(
        self,
        claim: Claim,
        result: Result,
        letter: DeadLetter | None,
        conflicts_with: str | None,
    ) -> Finished:
        policy = self._policy
        code = result.error.code if result.error else None
        stamped = result.model_copy(
            update={
                "id": claim.job_id,
                "epoch": claim.epoch,
                "tenant": claim.tenant,
                "finished_at": result.finished_at or datetime.now(UTC),
            }
        )
        event = _flatten(
            DoneEvent(
                id=claim.job_id,
                state=result.state,
                epoch=claim.epoch,
                stream=claim.stream_name,
                entry=claim.entry_id,
                code=code,
                warnings=len(result.warnings),
                tenant=claim.tenant,
                conflicts_with=conflicts_with,
            ).to_fields()
        )
        keys = [
            claim.stream,
            self._keys.job(claim.job_id),
            self._keys.result(claim.job_id),
            self._keys.done,
            self._keys.counters,
            self._keys.running,
            self._keys.dead_letters,
        ]
        arguments: list[str | bytes | int] = [
            self._keys.group,
            claim.entry_id,
            claim.epoch,
            str(result.state),
            code or "",
            stamped.model_dump_json(),
            milliseconds(policy.dead_letter_seconds if letter else policy.result_seconds),
            policy.done_max_length,
            policy.dead_letter_max_length,
            f"{claim.stream_name}/{claim.entry_id}",
            len(event),
            *event,
            *(_flatten(letter.to_fields()) if letter else ()),
        ]
        attempt = partial(_FINISH.run, self._client, keys, arguments)
        return Finished(_insist(attempt, self._publish_seconds).decode())


def _insist(attempt: Callable[[], bytes], seconds: float) -> bytes:
    """Repeat a script until Redis answers, at most so many seconds long.

    The epoch makes it safe: the repetition of what had succeeded is told so. Rights that were
    taken away by mistake come back too.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return attempt()
        except redis.RedisError as error:
            if outlook(error) is Outlook.ENDS or time.monotonic() + _REPEAT_SECONDS > deadline:
                raise
            time.sleep(_REPEAT_SECONDS)

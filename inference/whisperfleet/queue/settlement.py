"""How an outcome is carried out: each is one script, safe to repeat."""

import time
from collections.abc import Callable
from functools import partial
from typing import assert_never

import redis

from whisperfleet.contract.keys import Keys
from whisperfleet.queue.faults import Outlook, outlook
from whisperfleet.queue.leases import Claim
from whisperfleet.queue.outcomes import (
    ENTRY_LOST,
    Buried,
    Concluded,
    Left,
    Outcome,
    Released,
    Retried,
    Settled,
    given_up,
)
from whisperfleet.queue.publishing import publication
from whisperfleet.queue.scripts import Script, milliseconds
from whisperfleet.settings import QueuePolicy

__all__ = ["Settlement"]

_FINISH = Script("finish")
_RELEASE = Script("release")
_REPEAT_SECONDS = 0.5
# A job that cannot be handed back is not lost: its lease lapses.
_HAND_BACK_SECONDS = 2.0


class Settlement:
    """Settles claims for one consumer of one queue; may be shared by threads.

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

    def settle(self, claim: Claim, outcome: Outcome) -> Settled:
        """Have a claim end by an outcome, and return what became of it.

        Raises redis.RedisError where Redis gives no answer in time, or refuses.
        """
        match outcome:
            case Concluded() | Buried():
                return self._publish(claim, outcome)
            case Retried() | Released():
                return self._hand_back(claim, outcome)
            case Left():
                return Settled.FENCED
            case _:
                assert_never(outcome)

    def _publish(self, claim: Claim, outcome: Concluded | Buried) -> Settled:
        keys, arguments = publication(self._keys, self._policy, self._consumer, claim, outcome)
        attempt = partial(_FINISH.run, self._client, keys, arguments)
        return Settled(_insist(attempt, self._publish_seconds).decode())

    def _hand_back(self, claim: Claim, outcome: Retried | Released) -> Settled:
        policy = self._policy
        lease_ms = milliseconds(policy.lease_seconds)
        match outcome:
            case Retried(error):
                count, cap = "retries", policy.max_retries
                why, is_forgiven = f"failed: {error.code}", True
            case Released(why, is_forgiven):
                count, cap = "releases", policy.max_releases
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
            min(lease_ms, milliseconds(outcome.delay_seconds)),
            count,
            cap,
            why,
            int(is_forgiven),
        ]
        attempt = partial(_RELEASE.run, self._client, keys, arguments)
        settled = Settled(_insist(attempt, _HAND_BACK_SECONDS).decode())
        if settled is Settled.EXHAUSTED:
            self._publish(claim, given_up(claim, outcome))
        elif settled is Settled.LOST:
            self._publish(claim, ENTRY_LOST)
        return settled


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

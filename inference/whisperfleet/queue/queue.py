"""The worker's side of the queue: take a job, keep it, end it.

Redis's own errors (`redis.ConnectionError`, `redis.TimeoutError`, `redis.ResponseError`) come out
of `claim`, `wait` and `prune` as they are: the caller's loop goes on after them.
`settle` repeats itself until Redis answers.
"""

import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import redis

from whisperfleet.contract.keys import DEFAULT_PRIORITIES, Keys, Priority
from whisperfleet.contract.times import entry_time
from whisperfleet.queue.consumer_leases import ConsumerLeases
from whisperfleet.queue.leases import Claim
from whisperfleet.queue.outcomes import Ending, Outcome, Settled, refuse
from whisperfleet.queue.registration import inspect_server, register
from whisperfleet.queue.scripts import Script, milliseconds
from whisperfleet.queue.settlement import Settlement
from whisperfleet.settings import QueuePolicy

__all__ = ["WorkQueue", "weighted_order"]

_log = logging.getLogger(__name__)

_CLAIM = Script("claim")
_PRUNE = Script("prune")

# A claim that finds only duplicates, or jobs that are over before they begin, looks again.
_MAX_LOOKS = 64
_GONE_LEASES = 10


def weighted_order(weights: Mapping[str, int]) -> list[str]:
    """Return the names in random order, each first with a chance in proportion to its weight.

    The order of independent exponential arrival times of those rates (Efraimidis and Spirakis
    2006).
    """
    return sorted(weights, key=lambda name: random.expovariate(weights[name]))


class WorkQueue(ConsumerLeases):
    """One consumer of a queue. `claim` and `wait` are for one thread, the rest for any.

    `consumer` is a name that no other process has or ever had. `tenants` have a stream of their own
    beside the shared one of each priority, of the same weight.
    """

    def __init__(
        self,
        client: redis.Redis,
        keys: Keys,
        consumer: str,
        priorities: Sequence[Priority] = DEFAULT_PRIORITIES,
        policy: QueuePolicy | None = None,
        tenants: Sequence[str] = (),
    ) -> None:
        super().__init__(client, keys, consumer, priorities, policy, tenants)
        self._weights = {
            stream.key: stream.priority.weight for stream in keys.streams(priorities, tenants)
        }
        self._settlement = Settlement(
            client, keys, consumer, self.policy, self.policy.settle_seconds
        )
        # What `claim` settles itself it does not insist on: the entry comes back by its lease.
        self._refusals = Settlement(client, keys, consumer, self.policy, publish_seconds=0.0)
        # What an idle wait listens to, and the last entry of each that is known.
        self._heard: dict[str, str] = {}
        self._wakeup_heard = "0-0"
        self._not_streams: set[str] = set()
        self._next_reclaim = 0.0

    def register(self, owner: str | None = None) -> list[str]:
        """Agree with the queue on protocol and owner; return warnings about the server.

        Raises QueueUnavailableError where Redis cannot be reached or is too old, where the queue
        speaks another major version, or where it is another owner's.
        """
        register(self._client, self._keys, owner)
        return inspect_server(self._client)

    def claim(self, note_ending: Callable[[Ending], object] | None = None) -> Claim | None:
        """Return a job that is now this worker's to do, or None where there is nothing to do.

        Does not block. What needs no work (cancelled, over its delivery budget, vanished, too
        large, an id that is taken) is settled here and never returned: `note_ending` is told of
        each.
        """
        for _ in range(_MAX_LOOKS):
            reply = self._take()
            verdict = reply[0].decode()
            if verdict == "none":
                return None
            if verdict == "again":
                # A look at what is pending may have been cut short.
                self._next_reclaim = 0.0
                continue
            claim, note = self._read_claim(reply)
            if reply[11] != b"new":
                # Whoever left it may have left more than this one.
                self._next_reclaim = 0.0
            if verdict == "run":
                return claim
            ending = self._refuse(claim, verdict, note)
            if ending and note_ending:
                note_ending(ending)
        return None

    def wait(self, timeout_seconds: float) -> None:
        """Return when there may be work; call it after `claim` gave None.

        At the latest after `timeout_seconds`, or when it is time to look for expired leases.
        """
        until_reclaim = max(0.0, self._next_reclaim - time.monotonic())
        seconds = min(timeout_seconds, until_reclaim) * random.uniform(0.8, 1.0)  # noqa: S311
        if seconds < 0.001 or not self._heard:
            return
        wakeup = self._keys.wakeup
        positions: dict[Any, Any] = {**self._heard, wakeup: self._wakeup_heard}
        heard: Any = self._client.xread(positions, count=1, block=milliseconds(seconds))
        for stream, entries in heard or ():
            if stream.decode() == wakeup:
                self._wakeup_heard = entries[-1][0].decode()
                self._next_reclaim = 0.0

    def settle(self, claim: Claim, outcome: Outcome) -> Settled:
        """Have a claim end by an outcome, and return what became of it."""
        return self._settlement.settle(claim, outcome)

    def prune(self) -> int:
        """Forget consumers that are gone, dead letters that are too old, and deleted entries.

        Those are such as a person deleted with their pending marks. Return how many consumers.
        Once in some minutes is enough.
        """
        policy = self.policy
        forgotten: int = _PRUNE.run(
            self._client,
            [self._keys.dead_letters, self._keys.running, self._keys.meta, *self._weights],
            [
                self._keys.group,
                milliseconds(policy.lease_seconds * _GONE_LEASES),
                milliseconds(policy.dead_letter_seconds),
                self._keys.prefix,
            ],
        )
        return forgotten

    def _looks_back(self) -> bool:
        """Return whether it is time to look at what is pending, before anything new."""
        now = time.monotonic()
        if now < self._next_reclaim:
            return False
        self._next_reclaim = now + self.policy.reclaim_seconds * random.uniform(0.75, 1.25)  # noqa: S311
        return True

    def _take(self) -> list[Any]:
        streams = weighted_order(self._weights)
        reply: list[Any] = _CLAIM.run(
            self._client,
            [self._keys.counters, self._keys.running, self._keys.meta, *streams],
            [
                self._keys.group,
                self._consumer,
                self._keys.prefix,
                milliseconds(self.policy.lease_seconds),
                self.policy.max_deliveries,
                int(self._looks_back()),
                milliseconds(2 * self.policy.beat_seconds),
            ],
        )
        if reply[0] == b"none":
            self._listen(dict(zip(streams, (last.decode() for last in reply[1:]), strict=True)))
        return reply

    def _listen(self, last_delivered: dict[str, str]) -> None:
        self._heard = {stream: last for stream, last in last_delivered.items() if last}
        not_streams = last_delivered.keys() - self._heard.keys()
        for stream in not_streams - self._not_streams:
            _log.error(
                "%s holds no stream, so no job comes from it; move or delete the key", stream
            )
        self._not_streams = set(not_streams)

    def _read_claim(self, reply: list[Any]) -> tuple[Claim, str]:
        stream, entry_id, job_id = (part.decode() for part in reply[1:4])
        epoch, deliveries, releases, retries, now_ms = reply[4:9]
        stream_name = self._suffix(stream)
        flat = reply[10]
        fields: dict[bytes, bytes] = dict(zip(flat[::2], flat[1::2], strict=True))
        if owner := stream_name.partition(":")[2]:
            # Whoever owns a stream cannot send in another's name.
            fields[b"tenant"] = owner.encode()
        # A producer's own entry id may tell no time.
        written = entry_time(entry_id)
        claim = Claim(
            stream=stream,
            entry_id=entry_id,
            job_id=job_id,
            epoch=epoch,
            stream_name=stream_name,
            deliveries=deliveries,
            releases=releases,
            retries=retries,
            fields=fields,
            enqueued_at=written.timestamp() if written else now_ms / 1000,
            claimed_at=now_ms / 1000,
            suspect=deliveries >= self.policy.suspect_deliveries,
        )
        return claim, reply[9].decode()

    def _refuse(self, claim: Claim, verdict: str, note: str) -> Ending | None:
        """End a claim that needs no work; return how, or None where it was another's by then."""
        outcome = refuse(claim, verdict, note)
        if self._refusals.settle(claim, outcome) is Settled.FENCED:
            return None
        return Ending.of(claim.job_id, outcome)

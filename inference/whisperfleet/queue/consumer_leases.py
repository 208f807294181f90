"""A consumer keeps the jobs that it has claimed.

It needs nothing of what a job says and of how one ends: the process that does it starts in a
moment. Redis's own errors come out as they are: the caller's loop goes on after them.
"""

from collections.abc import Collection, Iterable, Sequence

import redis

from whisperfleet.contract.keys import DEFAULT_PRIORITIES, Keys, Priority
from whisperfleet.queue.leases import Lease, Renewal
from whisperfleet.queue.scripts import Script, milliseconds
from whisperfleet.settings import QueuePolicy

__all__ = ["ConsumerLeases"]

_RENEW = Script("renew")
_RELEASE_ORPHANS = Script("release_orphans")
_TRIAL = Script("trial")


class ConsumerLeases:
    """The leases of one consumer of a queue. Safe to share between threads."""

    def __init__(
        self,
        client: redis.Redis,
        keys: Keys,
        consumer: str,
        priorities: Sequence[Priority] = DEFAULT_PRIORITIES,
        policy: QueuePolicy | None = None,
        tenants: Sequence[str] = (),
    ) -> None:
        self.policy = policy or QueuePolicy()
        self._client = client
        self._keys = keys
        self._consumer = consumer
        self._streams = tuple(stream.key for stream in keys.streams(priorities, tenants))

    def renew(self, leases: Iterable[Lease]) -> dict[Lease, Renewal]:
        """Renew leases. A fenced one is lost: stop, publish nothing. Stop a cancelled one too."""
        wanted = list(leases)
        if not wanted:
            return {}
        keys = [key for lease in wanted for key in (lease.stream, self._keys.job(lease.job_id))]
        arguments = [value for lease in wanted for value in (lease.entry_id, lease.epoch)]
        answers = _RENEW.run(self._client, keys, [self._keys.group, self._consumer, *arguments])
        return {
            lease: Renewal(answer.decode()) for lease, answer in zip(wanted, answers, strict=True)
        }

    def release_orphans(self, held: Collection[Lease], claiming_seconds: float = 0.0) -> int:
        """Hand back what Redis holds for this consumer beside `held`; return how many entries.

        A lost reply to `claim` leaves a job with a worker that knows nothing of it. Call it with
        each renewal, also of a worker that holds nothing: it is a sign that leases can be renewed.
        Entries younger than `beat_seconds` are left alone, for their claim may be on its way; with
        a `claim` that has been under way for `claiming_seconds` those that it may have taken too.
        """
        policy = self.policy
        places = [f"{self._suffix(lease.stream)}/{lease.entry_id}" for lease in held]
        found: int = _RELEASE_ORPHANS.run(
            self._client,
            [
                self._keys.running,
                self._keys.wakeup,
                self._keys.counters,
                self._keys.meta,
                *self._streams,
            ],
            [
                self._keys.group,
                self._consumer,
                self._keys.prefix,
                milliseconds(policy.lease_seconds),
                milliseconds(policy.beat_seconds),
                policy.max_releases,
                milliseconds(claiming_seconds),
                *places,
            ],
        )
        return found

    def try_to_publish(self) -> None:
        """Do nothing, by the commands that end a job: raises what would keep one from ending."""
        keys = self._keys
        kept = [keys.trial, keys.done, keys.dead_letters, keys.counters, keys.running]
        _TRIAL.run(self._client, [*kept, *self._streams], [keys.group])

    def _suffix(self, stream: str) -> str:
        return stream.removeprefix(f"{self._keys.prefix}in:")

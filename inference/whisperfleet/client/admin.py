"""An administrator of one queue."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Self

from whisperfleet.client.cancelling import cancel
from whisperfleet.client.letters import DeadLetters
from whisperfleet.client.paging import PagedEntry, read_pages
from whisperfleet.client.reports import Cancelled, Dropped, QueueStats, Redriven, TenantUsage
from whisperfleet.client.scope import Scope
from whisperfleet.client.stats import SCAN_COUNT, find_stream_names, read_stats
from whisperfleet.client.usage import read_usage
from whisperfleet.contract.events import DeadLetter
from whisperfleet.contract.keys import DEFAULT_PRIORITIES, Priority
from whisperfleet.queue import QueuePolicy
from whisperfleet.queue.connection import RedisSettings
from whisperfleet.queue.requests import run

__all__ = ["Admin"]

_PAGE = 200


class Admin:
    """Looks after the queue `queue_id` as a whole; may be shared by threads.

    With `tenant` it sees that tenant's jobs alone, with `own_stream` in the tenant's own streams.
    It needs every right on the queue's keys. Connection errors come out as `redis.RedisError`; once
    it is closed every method raises ClientClosedError. Raises ValueError for a queue id or a tenant
    that cannot be one.
    """

    def __init__(
        self,
        settings: RedisSettings,
        queue_id: str,
        *,
        priorities: Sequence[Priority] = DEFAULT_PRIORITIES,
        tenant: str | None = None,
        own_stream: bool = False,
        policy: QueuePolicy | None = None,
    ) -> None:
        self._scope = Scope.of(queue_id, priorities, tenant, own_stream=own_stream, policy=policy)
        self.keys = self._scope.keys
        self._redis = settings.connect()
        self._letters = DeadLetters(self._redis, self.keys, tenant)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._redis.close()

    def dead_letters(self) -> Iterator[tuple[str, DeadLetter]]:
        """Yield each dead letter with its own id, oldest first, without its audio."""
        return iter(self._letters)

    def dead_letter(self, letter_id: str) -> DeadLetter | None:
        """Return one dead letter by its own id, without its audio, or None where there is none."""
        return self._letters.get(letter_id)

    def redrive(self, letter_id: str) -> Redriven:
        """Send the job of a dead letter again, under its id. Twice makes one run."""
        return self._letters.redrive(letter_id)

    def drop_letter(self, name: str) -> Dropped:
        """Forget a dead letter and its job, so that the job's id is free at once.

        `name` is the letter's id; or the job's, where somebody has deleted the letter itself.
        """
        return self._letters.drop(name)

    def stats(self) -> QueueStats:
        """Return the load of each stream, and the totals.

        Of every stream there is, also of priorities and tenants that the client was not told of.
        """
        lease_seconds = self._scope.policy.lease_seconds
        return read_stats(self._redis, self.keys, self._find_stream_names(), lease_seconds)

    def usage(self) -> list[TenantUsage]:
        """Return what the jobs that ended have used, by tenant and class."""
        return [
            used for used in read_usage(self._redis, self.keys) if self._scope.includes(used.tenant)
        ]

    def purge(self) -> int:
        """Cancel every job of the queue that has not ended; return how many waited.

        Running jobs stop with the next renewal of their lease.
        """
        return sum(
            self._cancel(stream_name, entry) is Cancelled.CANCELLED
            for stream_name in self._find_stream_names()
            for entry in read_pages(self._redis, self.keys.stream_named(stream_name))
        )

    def drop(self) -> int:
        """Delete the queue with all it holds, and return how many keys that were.

        Jobs that wait or run are gone without a result: `purge` gives them one. A worker that is
        still there makes its streams anew. Raises ValueError for the client of one tenant, whose
        queue it is not.
        """
        if self._scope.tenant is not None:
            raise ValueError(
                f"the queue is not {self._scope.tenant}'s alone: drop it without a tenant"
            )
        dropped = 0
        keys = self._redis.scan_iter(f"{self.keys.prefix}*", count=SCAN_COUNT)
        while batch := list(islice(keys, _PAGE)):
            dropped += int(self._redis.unlink(*batch))
        return dropped

    def _find_stream_names(self) -> Sequence[str]:
        """Return where jobs can be: of one tenant's client, where it sends them."""
        known = self._scope.stream_names
        if self._scope.tenant is not None:
            return known
        return [*known, *sorted(find_stream_names(self._redis, self.keys) - set(known))]

    def _cancel(self, stream_name: str, entry: PagedEntry) -> Cancelled:
        own = entry.fields.get(b"id", b"").decode("utf-8", "replace")
        tenant = stream_name.partition(":")[2] or entry.fields.get(b"tenant", b"").decode(
            "utf-8", "replace"
        )
        # An entry whose own id cannot be one, or is another job's, has the one that the queue
        # makes; to any other that one is not known.
        for job_id in (f"{stream_name}-{entry.entry_id}", own):
            if job_id:
                answer = run(
                    self._redis,
                    cancel(self._scope, job_id, tenant or None, stream_name, entry.entry_id),
                )
                if answer is not Cancelled.UNKNOWN:
                    return answer
        return Cancelled.UNKNOWN

"""Jobs for which nothing can come any more, among those that somebody waits for.

A job ended and its result was deleted or has faded, so that the same id sent again is a duplicate;
or nothing is left of it at all, as after a restart of a Redis that keeps nothing.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import redis
from redis.exceptions import NoPermissionError

from whisperfleet.contract.keys import Keys, split_made_id
from whisperfleet.contract.states import TERMINAL

__all__ = ["Vanished"]

_PAGE = 200
# To know that an entry is still there is to read all of it, up to 1 MiB.
_MOST_ENTRIES = 8


class _Record(NamedTuple):
    """What is read of a job's hash; all None where there is none."""

    state: bytes | None
    epoch: bytes | None
    finished: bytes | None
    tenant: bytes | None

    @property
    def has_ended(self) -> bool:
        return (
            self.finished is not None or (self.state or b"").decode("utf-8", "replace") in TERMINAL
        )


class Vanished:
    """Looks for jobs that have vanished, for one wait; `stream_names` is where the client sends.

    What is nowhere has vanished when that is so twice: a replica may not have it yet. An account
    that may not look finds none.
    """

    def __init__(
        self, client: redis.Redis, keys: Keys, tenant: str | None, stream_names: Collection[str]
    ) -> None:
        self._redis = client
        self._keys = keys
        self._tenant = tenant
        self._stream_names = stream_names
        self._may_look = True
        self._missed: set[str] = set()

    def among(self, made_ids: Mapping[str, str]) -> tuple[set[str], bool]:
        """Return which jobs have vanished, and whether a look soon may find more.

        `made_ids` has for each job that has no result the id that the queue made of its entry, or
        its own id where that is not known.
        """
        if not self._may_look:
            return set(), False
        try:
            return self._among(made_ids)
        except NoPermissionError:
            self._may_look = False
            return set(), False

    def _among(self, made_ids: Mapping[str, str]) -> tuple[set[str], bool]:
        # In the order in which they are begun, so that those behind have their turn.
        records = dict(self._records(sorted(made_ids, key=lambda job_id: made_ids[job_id])))
        ended = [job_id for job_id, record in records.items() if record.has_ended]
        unknown = [job_id for job_id, record in records.items() if record.state is None]
        cheap = [job_id for job_id in ended if not self._place(made_ids[job_id])]
        costly = [job_id for job_id in (*ended, *unknown) if self._place(made_ids[job_id])]
        missed = {
            job_id
            for job_id in (*cheap, *costly[:_MOST_ENTRIES])
            if self._is_gone(job_id, made_ids[job_id], records[job_id])
        }
        vanished = missed & (self._missed | set(ended))
        self._missed = missed
        are_more = bool(vanished) and len(costly) > _MOST_ENTRIES
        # Who has ended and is asked for again is settled once a worker comes to it.
        return vanished, are_more or not vanished.issuperset({*ended, *missed})

    def _records(self, job_ids: Sequence[str]) -> Iterator[tuple[str, _Record]]:
        """Yield each job's record, but for those of other tenants."""
        for start in range(0, len(job_ids), _PAGE):
            page = job_ids[start : start + _PAGE]
            with self._redis.pipeline(transaction=False) as pipeline:
                for job_id in page:
                    pipeline.hmget(self._keys.job(job_id), _Record._fields)
                replies = pipeline.execute()
            for job_id, values in zip(page, replies, strict=True):
                record = _Record(*values)
                own = self._tenant is None or record.tenant in {None, self._tenant.encode()}
                if own:
                    yield job_id, record

    def _place(self, made_id: str) -> tuple[str, str] | None:
        """Return the stream and the entry of an id that is surely the queue's own."""
        stream_name, entry = split_made_id(made_id) or ("", "")
        return (
            (self._keys.stream_named(stream_name), entry)
            if stream_name in self._stream_names
            else None
        )

    def _is_gone(self, job_id: str, made_id: str, before: _Record) -> bool:
        """Look again, in the order in which a job moves on: entry, result, record."""
        place = self._place(made_id)
        with self._redis.pipeline(transaction=False) as pipeline:
            if place:
                stream, entry = place
                pipeline.xrange(stream, entry, entry)
            pipeline.mget([self._keys.result(job_id), self._keys.result(made_id)])
            pipeline.hmget(self._keys.job(job_id), _Record._fields)
            *entries, results, values = pipeline.execute()
        has_entry = any(entries)
        return not (has_entry or any(results)) and _Record(*values) == before

"""Jobs for which nothing can come any more, among those that somebody waits for.

A job ended and its result was deleted or has faded, so that the same id sent again is a duplicate;
or nothing is left of it at all, as after a restart of a Redis that keeps nothing.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import redis
from redis.exceptions import NoPermissionError

from whisperfleet.contract.keys import Keys, split_made_id
from whisperfleet.contract.states import TERMINAL
from whisperfleet.queue.requests import Batch, Command, Conversation

__all__ = ["DOUBTFUL_SECONDS", "Vanished", "VanishedJobs"]

DOUBTFUL_SECONDS = 1.0
_PAGE = 200
# To know that an entry is still there is to read all of it, up to 1 MiB.
_MOST_ENTRIES = 8


class VanishedJobs(NamedTuple):
    """What a look for vanished jobs found.

    `doubtful` are those to look at again soon. `are_more`: so should be all that are waited for.
    """

    gone: frozenset[str] = frozenset()
    doubtful: frozenset[str] = frozenset()
    are_more: bool = False


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
    """Looks for jobs that have vanished; `stream_names` are where this client's jobs go.

    What is nowhere has vanished when that is so twice, a second apart: a replica may not have it
    yet. An account that may not look finds none.
    """

    def __init__(self, keys: Keys, tenant: str | None, stream_names: Collection[str]) -> None:
        self._keys = keys
        self._tenant = tenant
        self._stream_names = stream_names
        self._may_look = True
        self._missed: dict[str, float] = {}

    def forget(self, job_ids: Collection[str]) -> None:
        """Drop what is remembered of jobs that nobody waits for any more."""
        for job_id in job_ids:
            self._missed.pop(job_id, None)

    def among(self, made_ids: Mapping[str, str], now: float) -> Conversation[VanishedJobs]:
        """Look for them among these jobs at a time in seconds.

        `made_ids` has for each job that has no result the id that the queue made of its entry, or
        its own id where that is not known.
        """
        if not self._may_look:
            return VanishedJobs()
        try:
            return (yield from self._among(made_ids, now))
        except NoPermissionError:
            self._may_look = False
            return VanishedJobs()

    def _among(self, made_ids: Mapping[str, str], now: float) -> Conversation[VanishedJobs]:
        # In the order in which they are begun, so that those behind have their turn.
        records = yield from self._records(sorted(made_ids, key=lambda job_id: made_ids[job_id]))
        ended = [job_id for job_id, record in records.items() if record.has_ended]
        unknown = [job_id for job_id, record in records.items() if record.state is None]
        cheap = [job_id for job_id in ended if not self._place(made_ids[job_id])]
        costly = [job_id for job_id in (*ended, *unknown) if self._place(made_ids[job_id])]
        missed = set[str]()
        for job_id in (*cheap, *costly[:_MOST_ENTRIES]):
            if (yield from self._is_gone(job_id, made_ids[job_id], records[job_id])):
                missed.add(job_id)
        long_missed = {
            job_id for job_id in missed if now - self._missed.get(job_id, now) >= DOUBTFUL_SECONDS
        }
        gone = (missed & set(ended)) | long_missed
        self._missed = {
            **{job_id: at for job_id, at in self._missed.items() if job_id not in made_ids},
            **{job_id: self._missed.get(job_id, now) for job_id in missed - gone},
        }
        # Who has ended and is asked for again is settled once a worker comes to it.
        doubtful = {*ended, *missed} - gone
        return VanishedJobs(frozenset(gone), frozenset(doubtful), bool(long_missed))

    def _records(self, job_ids: Sequence[str]) -> Conversation[dict[str, _Record]]:
        """Return each job's record, but for those of other tenants."""
        records = {}
        for start in range(0, len(job_ids), _PAGE):
            page = job_ids[start : start + _PAGE]
            replies = yield from _answers(self._read_record(job_id) for job_id in page)
            for job_id, values in zip(page, replies, strict=True):
                record = _Record(*values)
                if self._tenant is None or record.tenant in {None, self._tenant.encode()}:
                    records[job_id] = record
        return records

    def _read_record(self, job_id: str) -> Command:
        return Command(("HMGET", self._keys.job(job_id), *_Record._fields))

    def _place(self, made_id: str) -> tuple[str, str] | None:
        """Return the stream and the entry of an id that is surely the queue's own."""
        stream_name, entry = split_made_id(made_id) or ("", "")
        return (
            (self._keys.stream_named(stream_name), entry)
            if stream_name in self._stream_names
            else None
        )

    def _is_gone(self, job_id: str, made_id: str, before: _Record) -> Conversation[bool]:
        """Look again, in the order in which a job moves on: entry, result, record."""
        keys, place = self._keys, self._place(made_id)
        look_for_entry = []
        if place:
            stream, entry = place
            look_for_entry = [Command(("XRANGE", stream, entry, entry))]
        *entries, results, values = yield from _answers(
            [
                *look_for_entry,
                Command(("MGET", keys.result(job_id), keys.result(made_id))),
                self._read_record(job_id),
            ]
        )
        return not (any(entries) or any(results)) and _Record(*values) == before


def _answers(commands: Iterable[Command]) -> Conversation[list[Any]]:
    """Send commands in one round trip; raises the first error among the replies."""
    replies = yield Batch(tuple(commands))
    for reply in replies:
        if isinstance(reply, redis.RedisError):
            raise reply
    answers: list[Any] = replies
    return answers

"""Dead letters: read, sent again, or dropped."""

import logging
import re
from collections.abc import Iterator

import redis
from pydantic import ValidationError

from whisperfleet.client.paging import PagedEntry, read_page, read_pages
from whisperfleet.client.reports import Dropped, Redriven
from whisperfleet.contract.events import DeadLetter
from whisperfleet.contract.keys import Keys
from whisperfleet.queue.scripts import Script

__all__ = ["DeadLetters"]

_log = logging.getLogger(__name__)

_REDRIVE = Script("redrive")
_DROP = Script("drop")

_ENTRY_ID = re.compile(r"\d+-\d+")


class DeadLetters:
    """The dead letters of one queue, those of `tenant` alone unless it is None."""

    def __init__(self, client: redis.Redis, keys: Keys, tenant: str | None) -> None:
        self._redis = client
        self._keys = keys
        self._tenant = tenant

    def __iter__(self) -> Iterator[tuple[str, DeadLetter]]:
        """Yield each with its own id, oldest first, without its audio."""
        for entry in read_pages(self._redis, self._keys.dead_letters):
            if letter := self._read(entry):
                yield entry.entry_id, letter

    def get(self, letter_id: str) -> DeadLetter | None:
        """Return one by its own id, without its audio; None where none can be read."""
        entry = self._find(letter_id)
        return self._read(entry) if entry else None

    def redrive(self, letter_id: str) -> Redriven:
        """Send a letter's job again, under its id."""
        letter = self.get(letter_id)
        if letter is None:
            return Redriven.UNKNOWN
        keys = self._keys
        try:
            stream = keys.stream_named(letter.stream)
        except ValueError:
            return Redriven.EMPTY
        answer = _REDRIVE.run(
            self._redis,
            [
                keys.dead_letters,
                keys.job(letter.id),
                keys.result(letter.id),
                stream,
                keys.counters,
                keys.running,
            ],
            [letter_id, keys.prefix],
        )
        return Redriven(answer.decode())

    def drop(self, name: str) -> Dropped:
        """Forget the letter of this id, or the dead job of this id even without a letter."""
        entry = self._find(name)
        if entry is None:
            return self._drop("", name)
        fields = entry.fields
        tenant = fields.get(b"tenant", b"").decode("utf-8", "replace")
        if self._tenant not in {None, tenant}:
            return Dropped.UNKNOWN
        return self._drop(name, fields.get(b"id", b"").decode("utf-8", "replace"))

    def _drop(self, letter_id: str, job_id: str) -> Dropped:
        keys = self._keys
        answer = _DROP.run(
            self._redis,
            [keys.dead_letters, keys.job(job_id), keys.result(job_id), keys.counters],
            [letter_id, self._tenant or ""],
        )
        return Dropped(answer.decode())

    def _find(self, letter_id: str) -> PagedEntry | None:
        if not _ENTRY_ID.fullmatch(letter_id):
            return None
        found = read_page(self._redis, self._keys.dead_letters, letter_id, letter_id)
        return found[0] if found else None

    def _read(self, entry: PagedEntry) -> DeadLetter | None:
        try:
            letter = DeadLetter.from_fields(entry.fields, entry.left_out)
        except (ValidationError, UnicodeDecodeError):
            _log.warning("the dead letter %s cannot be read and is passed over", entry.entry_id)
            return None
        return letter if self._tenant in {None, letter.tenant} else None

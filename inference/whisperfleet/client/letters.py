"""Dead letters: read, sent again, or dropped."""

import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any

import redis
from pydantic import ValidationError

from whisperfleet.client.reports import Dropped, Redriven, read_pages
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
        """Yield each with its own id, oldest first."""
        for letter_id, fields in read_pages(self._redis, self._keys.dead_letters):
            if letter := self._read(letter_id, fields):
                yield letter_id, letter

    def get(self, letter_id: str) -> DeadLetter | None:
        """Return one by its own id, or None where there is none that can be read."""
        fields = self._find(letter_id)
        return self._read(letter_id, fields) if fields is not None else None

    def redrive(self, letter_id: str) -> Redriven:
        """Send a letter's job again, under its id."""
        letter = self.get(letter_id)
        if letter is None:
            return Redriven.UNKNOWN
        keys = self._keys
        try:
            stream = keys.source_stream(letter.stream)
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
        fields = self._find(name)
        if fields is None:
            return self._drop("", name)
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

    def _find(self, letter_id: str) -> Mapping[bytes, bytes] | None:
        if not _ENTRY_ID.fullmatch(letter_id):
            return None
        found: Any = self._redis.xrange(self._keys.dead_letters, letter_id, letter_id)
        return found[0][1] if found else None

    def _read(self, letter_id: str, fields: Mapping[bytes, bytes]) -> DeadLetter | None:
        try:
            letter = DeadLetter.from_fields(fields)
        except (ValidationError, UnicodeDecodeError):
            _log.warning("the dead letter %s cannot be read and is passed over", letter_id)
            return None
        return letter if self._tenant in {None, letter.tenant} else None

"""What a worker holds, in memory that it shares with the process that renews its leases.

Writing to it takes no system call, so that a claim costs nothing more, and no lock of the
interpreter is needed to read it. The layout, in bytes of native order::

    0   8     steps: grows whenever any job comes further
    8   8     when leases were last renewed; all that the reader writes
    16  8     since when a claim is under way; 0 for none
    24  1024  a slot for each job in flight:
              0  8  sequence: odd while the slot is being written
              8  2  length of what follows; 0 for a free slot
             10     stream, entry id, job id, epoch and the end of the job's time, joined by NUL

Moments are of `time.monotonic()`, which is the same clock in every process of a machine.
"""

import mmap
import os
import struct
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from whisperfleet.queue import Lease

__all__ = ["LeaseTable"]

_STEPS = struct.Struct("=Q")
# Native, so that it is written at once: no half of it can be read.
_MOMENT = struct.Struct("@d")
_RENEWED_AT = _STEPS.size
_CLAIMING_AT = _RENEWED_AT + _MOMENT.size
_SLOTS_AT = _CLAIMING_AT + _MOMENT.size
_SLOT = struct.Struct("=QH")
_SLOT_BYTES = 1024
_READ_ATTEMPTS = 8


class LeaseTable:
    """The leases of at most `slots` jobs. One process writes, another reads and renews.

    `descriptor` is the open file behind the memory; pass it to the reader. Safe to share between
    the threads of the writer.
    """

    def __init__(self, descriptor: int, slots: int) -> None:
        self.descriptor = descriptor
        self.slots = slots
        self._memory = mmap.mmap(descriptor, _SLOTS_AT + slots * _SLOT_BYTES)
        self._lock = threading.Lock()
        self._free = list(range(slots))
        self._taken: dict[Lease, int] = {}
        self._steps = 0

    @classmethod
    def create(cls, slots: int) -> Self:
        """Return an empty table in memory of its own."""
        if hasattr(os, "memfd_create"):
            # In no folder: on a full disk the first write to a page of a file is a bus error.
            descriptor = os.memfd_create("whisperfleet-leases")
        else:
            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        os.truncate(descriptor, _SLOTS_AT + slots * _SLOT_BYTES)
        return cls(descriptor, slots)

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()
        os.close(self.descriptor)

    def step(self) -> None:
        """Say that some job has come further."""
        with self._lock:
            self._steps += 1
            _STEPS.pack_into(self._memory, 0, self._steps)

    @property
    def steps(self) -> int:
        """How many steps there were."""
        steps: int = _STEPS.unpack_from(self._memory, 0)[0]
        return steps

    @property
    def renewed_at(self) -> float:
        """When leases were last renewed; 0 where they never were."""
        moment: float = _MOMENT.unpack_from(self._memory, _RENEWED_AT)[0]
        return moment

    def note_renewal(self) -> None:
        """Say, as the reader, that every lease was renewed that should be."""
        _MOMENT.pack_into(self._memory, _RENEWED_AT, time.monotonic())

    @contextmanager
    def claiming(self) -> Iterator[None]:
        """Say that a claim is under way, up to where what it brought is held. One at a time."""
        _MOMENT.pack_into(self._memory, _CLAIMING_AT, time.monotonic())
        try:
            yield
        finally:
            _MOMENT.pack_into(self._memory, _CLAIMING_AT, 0.0)

    @property
    def claiming_seconds(self) -> float:
        """How long a claim has been under way; 0 where none is. Read it before `held`."""
        began: float = _MOMENT.unpack_from(self._memory, _CLAIMING_AT)[0]
        return time.monotonic() - began if began else 0.0

    def hold(self, lease: Lease, ends: float) -> None:
        """Put a lease into a free slot, or anew into its own; `ends` is when the job's time is up.

        Raises IndexError when no slot is free.
        """
        parts = (lease.stream, lease.entry_id, lease.job_id, str(lease.epoch), str(ends))
        text = "\0".join(parts).encode()
        if len(text) > _SLOT_BYTES - _SLOT.size:
            raise ValueError(f"the names of the job {lease.job_id} take {len(text)} bytes")
        with self._lock:
            if lease not in self._taken:
                self._taken[lease] = self._free.pop()
            self._write(self._taken[lease], text)

    def drop(self, lease: Lease) -> None:
        """Free the slot of a lease; nothing happens to one that is not held."""
        with self._lock:
            slot = self._taken.pop(lease, None)
            if slot is not None:
                self._write(slot, b"")
                self._free.append(slot)

    def held(self) -> dict[Lease, float]:
        """Return every lease and when its job's time is up, as the reader sees them.

        A slot that changes all the while is passed over: what is in it is young.
        """
        return dict(held for slot in range(self.slots) for held in self._read(slot))

    def _write(self, slot: int, text: bytes) -> None:
        at = _SLOTS_AT + slot * _SLOT_BYTES
        sequence: int = _SLOT.unpack_from(self._memory, at)[0]
        _SLOT.pack_into(self._memory, at, sequence + 1, 0)
        self._memory[at + _SLOT.size : at + _SLOT.size + len(text)] = text
        _SLOT.pack_into(self._memory, at, sequence + 2, len(text))

    def _read(self, slot: int) -> Iterator[tuple[Lease, float]]:
        at = _SLOTS_AT + slot * _SLOT_BYTES
        for _ in range(_READ_ATTEMPTS):
            before, length = _SLOT.unpack_from(self._memory, at)
            text = self._memory[at + _SLOT.size : at + _SLOT.size + length]
            if before % 2 == 0 and _SLOT.unpack_from(self._memory, at)[0] == before:
                if text:
                    stream, entry_id, job_id, epoch, ends = text.decode().split("\0")
                    yield Lease(stream, entry_id, job_id, int(epoch)), float(ends)
                return

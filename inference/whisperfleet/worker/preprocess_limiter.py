"""How many jobs make windows at a time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from whisperfleet.processors import usable_processors

__all__ = ["PreprocessLimiter"]

# Beyond one a processor, for what waits for a pipe.
_MORE_THAN_PROCESSORS: Final = 2
_PATIENCE_SECONDS: Final = 2.0


class PreprocessLimiter:
    """A job holds a slot while a window is decoded, searched for speech and made into features.

    There are a few more than processors: with as many jobs in flight as two batches need, each
    would otherwise be given little of a processor and a decoder of its own, and all be ready late.
    A slot is a courtesy: who gets none for `patience_seconds` goes on without, so that files on
    which a decoder hangs hold nobody up.
    """

    def __init__(
        self, processors: int | None = None, patience_seconds: float = _PATIENCE_SECONDS
    ) -> None:
        slots = (processors or usable_processors()) + _MORE_THAN_PROCESSORS
        self._free = threading.BoundedSemaphore(slots)
        self._patience_seconds = patience_seconds

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold a slot, after a wait for it."""
        held = self._free.acquire(timeout=self._patience_seconds)
        try:
            yield
        finally:
            if held:
                self._free.release()

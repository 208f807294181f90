"""One cluster for all processes of a run: the first makes it, the last to leave takes it away."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Self

__all__ = ["Sharing"]


class Sharing:
    """Those who use a cluster, as locks on files: a process that is killed leaves none behind.

    A process may be several of them, one for each time that it enters.
    """

    def __init__(self, folder: Path | None = None) -> None:
        stem = f"whisperfleet-e2e-{os.getuid()}"
        folder = folder or Path(tempfile.gettempdir())
        self._users, self._maker = (folder / f"{stem}.{name}" for name in ("users", "maker"))
        self._held: IO[str] | None = None

    def __enter__(self) -> Self:
        self._held = self._users.open("w")
        fcntl.flock(self._held, fcntl.LOCK_SH)
        return self

    def __exit__(self, *_: object) -> None:
        if self._held:
            self._held.close()

    @contextmanager
    def making(self) -> Iterator[None]:
        """Keep out others who would make the cluster at the same time; they wait."""
        with self._maker.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def is_last(self) -> bool:
        """Whether nobody else uses the cluster. Who asks uses it no more, and newcomers wait.

        Of several who ask at once somebody is the last: Linux gives up the old lock before it asks
        for the new one (flock(2)).
        """
        assert self._held, "it is entered first"
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

"""The file of a job: in the scratch folder, but without a name, so none outlives its worker."""

import io
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from typing_extensions import Buffer

from whisperfleet.errors import MachineError
from whisperfleet.worker.control import JobControl
from whisperfleet.worker.machine import what_lacks

__all__ = ["scratch_file", "scratch_folder"]


def scratch_folder(chosen: Path | None, usual: Callable[[], str] = tempfile.gettempdir) -> Path:
    """Return the folder for fetched files: the one that was chosen, else the system's.

    `usual` finds that, and raises FileNotFoundError where none has room.
    """
    if chosen is not None:
        return chosen
    try:
        return Path(usual())
    except FileNotFoundError:
        # It looks for a place with room. The usual one may have some later.
        return Path("/tmp")  # noqa: S108 - nothing predictable is made in it


@contextmanager
def scratch_file(folder: Path, control: JobControl) -> Iterator[io.FileIO]:
    """Give an empty file that is gone, and its room free, however this process ends.

    Every write is a check of the job. Raises MachineError where it cannot be made or written.
    """
    with _told(folder):
        unnamed = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - just below
    with unnamed:
        yield _ScratchFile(folder, unnamed.fileno(), control)


class _ScratchFile(io.FileIO):
    """A file whose every write is a check, so that a download stops when its job does."""

    def __init__(self, folder: Path, descriptor: int, control: JobControl) -> None:
        super().__init__(descriptor, "r+", closefd=False)
        self._folder = folder
        self._control = control

    def write(self, data: Buffer, /) -> int:
        """Write all of it; a disk that is nearly full takes a part, and says nothing."""
        self._control.check()
        rest = memoryview(data).cast("B")
        length = len(rest)
        with _told(self._folder):
            while rest:
                rest = rest[super().write(rest) :]
        return length


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MachineError(what_lacks(error, folder)) from error

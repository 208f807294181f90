"""What a person may name as audio: a file, an address, or `-` for standard input."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from whisperfleet.contract.sizes import MAX_INLINE_AUDIO_BYTES
from whisperfleet.errors import ConfigurationError

__all__ = ["STANDARD_INPUT", "Source", "encoded", "find_source"]

STANDARD_INPUT = "-"
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(//|/)")


@dataclass(frozen=True, slots=True)
class Source:
    """Audio that can be submitted; `name` is what the person typed."""

    name: str

    def fields(self) -> dict[bytes, bytes]:
        """Return the one field of the job that says where the audio is, or is the audio.

        Raises ConfigurationError where it cannot be read or is too large to travel in the job.
        """
        if _ADDRESS.match(self.name):
            return {b"url": encoded("the address", self.name)}
        return {b"audio": self._read()}

    def _read(self) -> bytes:
        if self.name == STANDARD_INPUT and sys.stdin is None:
            raise ConfigurationError("standard input is closed; send a file, or open it")
        try:
            if self.name == STANDARD_INPUT:
                audio = sys.stdin.buffer.read(MAX_INLINE_AUDIO_BYTES + 1)
            else:
                with Path(self.name).open("rb") as file:
                    audio = file.read(MAX_INLINE_AUDIO_BYTES + 1)
        except OSError as error:
            raise ConfigurationError(
                f"{self.name} cannot be read: {error.strerror}; check the path"
            ) from error
        if len(audio) > MAX_INLINE_AUDIO_BYTES:
            raise _too_large(self.name)
        return audio


def encoded(what: str, text: str) -> bytes:
    """Return what a person typed as a field of a job has it.

    Raises ConfigurationError where it was typed in another encoding than the terminal's: such bytes
    can be a file's name and nothing else.
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ConfigurationError(
            f"{what} {text[:40]!r} holds bytes that are not UTF-8; type it anew, or set LC_ALL to "
            "the encoding that it is in"
        ) from None


def find_source(name: str) -> Source:
    """Return the audio that `name` stands for, checked as far as possible without reading it.

    Raises ConfigurationError for a file that is not there, is empty, or too large for a job.
    """
    if name == STANDARD_INPUT or _ADDRESS.match(name):
        return Source(name)
    path = Path(name)
    if path.is_dir():
        raise ConfigurationError(f"{name} is a folder; name the files in it, as in {name}/*")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ConfigurationError(
            f"{name} cannot be read: {error.strerror}; check the path, or begin an address with https://"
        ) from error
    if size > MAX_INLINE_AUDIO_BYTES:
        raise _too_large(name)
    # A pipe or a device has no size before it is read.
    if size == 0 and path.is_file():
        raise ConfigurationError(f"{name} is empty; send a whole audio file")
    return Source(name)


def _too_large(name: str) -> ConfigurationError:
    what = "standard input" if name == STANDARD_INPUT else name
    return ConfigurationError(
        f"{what} has more than the {MAX_INLINE_AUDIO_BYTES // 1024**2} MiB that travel inside a "
        "job; store it where the workers can fetch it, in an object store or on a web server, and "
        "submit its https:// address"
    )

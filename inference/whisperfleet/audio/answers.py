"""What a server answers to a GET: whether it is the file, and which part of it."""

import re
from dataclasses import dataclass
from http import HTTPStatus

from urllib3.response import HTTPResponse

from whisperfleet.audio.locations import Location
from whisperfleet.contract.codes import Code
from whisperfleet.errors import InputError, TransientError

__all__ = ["Part", "check_answer", "first_part"]

# RFC 9110 and 6585: request timeout, too early, too many requests.
_PASSING_REFUSALS = frozenset({408, 425, 429})
# RFC 9110, 7932 and 8878: what changes the bytes. Stores also answer with what does not, such as
# `aws-chunked`, a character set or nothing, because that is what the file was uploaded with.
_CODINGS = frozenset({"gzip", "x-gzip", "compress", "x-compress", "deflate", "br", "zstd"})
# RFC 9110, 14.4. A range whose end or whole is not told, or is beyond all files, cannot be joined.
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")


def check_answer(response: HTTPResponse, location: Location) -> None:
    """Raise InputError or TransientError where an answer does not hold the file as it is."""
    status = response.status
    if status >= 500 or status in _PASSING_REFUSALS:
        raise TransientError(
            Code.FETCH_FAILED, f"{location} answers {status}; check that its server is well"
        )
    if status in (404, 410):
        raise InputError(
            Code.NOT_FOUND,
            f"{location} answers {status}: nothing is there; check the address or upload the audio",
        )
    if not 200 <= status < 300:
        raise InputError(
            Code.FETCH_REFUSED,
            f"{location} answers {status}; send an address that can be read without credentials, "
            "such as a presigned one that has not expired",
        )
    codings = {
        coding.strip() for coding in response.headers.get("Content-Encoding", "").lower().split(",")
    }
    if compressed := sorted(codings & _CODINGS):
        raise InputError(
            Code.FETCH_REFUSED,
            f"{location} comes compressed ({compressed[0]}) although that was not asked for; store "
            "the audio file as it is",
        )


@dataclass(frozen=True, slots=True)
class Part:
    """The bytes of a file from `begin` to before `end`, of `whole` that there are.

    `tag` tells two files apart.
    """

    begin: int
    end: int
    whole: int
    tag: str | None

    def ask_for_next(self) -> dict[str, str]:
        """Return the headers of a request for what comes after this part."""
        asked = {"Range": f"bytes={self.end}-"}
        return asked | ({"If-Range": self.tag} if self.tag else {})

    def next_of(self, response: HTTPResponse, location: Location) -> "Part":
        """Return the part up to the end of an answer that goes on where this one ends.

        Raises TransientError where it does not, or is of another file.
        """
        check_answer(response, location)
        part = _read_range(response, location)
        if (part.begin, part.whole, part.tag) != (self.end, self.whole, self.tag):
            raise _cannot_be_joined(location)
        return part

    def check_stored(self, size_bytes: int, location: Location) -> None:
        """Raise TransientError where an answer did not hold what it said."""
        if size_bytes != self.end - self.begin:
            raise _cannot_be_joined(location)


def first_part(response: HTTPResponse, location: Location) -> Part:
    """Return which part of a file a 206 holds that nobody asked a part of.

    Raises TransientError where it does not say, or is not the first part.
    """
    part = _read_range(response, location)
    if part.begin != 0:
        raise _cannot_be_joined(location)
    return part


def _read_range(response: HTTPResponse, location: Location) -> Part:
    told = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if response.status != HTTPStatus.PARTIAL_CONTENT or not told:
        raise _cannot_be_joined(location)
    first, last, whole = map(int, told.groups())
    if not first <= last < whole:
        raise _cannot_be_joined(location)
    tag = response.headers.get("ETag")
    # RFC 9110, 13.1.5: a weak tag does not promise the same bytes.
    return Part(first, last + 1, whole, tag if tag and not tag.startswith("W/") else None)


def _cannot_be_joined(location: Location) -> TransientError:
    return TransientError(
        Code.FETCH_FAILED,
        f"{location} answers with a part of the file (206) that does not join to the rest; check "
        "that its server answers 200 with the whole file",
    )

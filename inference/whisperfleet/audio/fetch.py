"""Stream the audio of a job to a file: over https from where policy allows, and nowhere else.

Each hop is checked in full before a packet leaves: scheme, host, port, then every address that one
resolution gave. The connection goes to one of those addresses, never to a second look-up of the
name, which could answer otherwise.
"""

import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from socket import EAI_NODATA, EAI_NONAME, SOCK_STREAM, gaierror, getaddrinfo
from types import MappingProxyType
from typing import BinaryIO

from urllib3.response import HTTPResponse

from whisperfleet.audio.addresses import Address
from whisperfleet.audio.answers import Part, check_answer, first_part
from whisperfleet.audio.connection import Deadline, request
from whisperfleet.audio.local_files import open_local
from whisperfleet.audio.locations import Location, parse_location, resolve_redirect
from whisperfleet.audio.policy import FetchPolicy
from whisperfleet.contract.codes import Code
from whisperfleet.errors import ConfigurationError, InputError, MachineError, TransientError

__all__ = ["Fetcher", "Resolver", "resolve"]

Resolver = Callable[[str, int], Sequence[Address]]

_CHUNK_BYTES = 256 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# A server that sends parts of a megabyte does so up to the largest file.
_MAX_PARTS = 2048
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_NAME_UNKNOWN = frozenset({EAI_NODATA, EAI_NONAME})


def resolve(host: str, port: int) -> list[Address]:
    """Return the addresses of a host, best first (RFC 6724).

    Raises socket.gaierror. It takes as long as the C library's own time limits let it.
    """
    answers = getaddrinfo(host, port, type=SOCK_STREAM)
    return list(dict.fromkeys(ip_address(answer[4][0]) for answer in answers))


class Fetcher:
    """Fetches under one policy. Safe to share between threads.

    `resolver` turns a host and a port into addresses; it is called once for each hop. Raises
    ConfigurationError where the policy's file of certificates cannot be used.
    """

    def __init__(self, policy: FetchPolicy, resolver: Resolver = resolve) -> None:
        self._policy = policy
        self._resolver = resolver
        self._tls = ssl.create_default_context()
        if policy.ca_file is not None:
            _trust(self._tls, policy.ca_file)

    def fetch(self, url: str, into: Path | BinaryIO, *, deadline: float | None = None) -> int:
        """Write what `url` holds into a file and return the number of bytes.

        `deadline`, a moment of `time.monotonic()`, may shorten the policy's total timeout. A path
        is created, and removed again on failure; a file object is written from where it stands.
        Raises InputError where the address or what it holds is at fault, TransientError where
        trying again may help, MachineError where the file cannot be written.
        """
        end = time.monotonic() + self._policy.total_timeout_seconds
        limit = Deadline(end if deadline is None else min(end, deadline))
        if not isinstance(into, Path):
            return self._fetch(url, into, limit)
        try:
            with _opened(into) as file:
                return self._fetch(url, file, limit)
        except BaseException:
            into.unlink(missing_ok=True)
            raise

    def _fetch(self, url: str, into: BinaryIO, deadline: Deadline) -> int:
        if url[:5].lower() == "file:":
            size = self._copy(url, into, deadline)
        else:
            size = self._follow(_first_location(url), into, deadline)
        if size == 0:
            raise InputError(
                Code.EMPTY, "the address holds no bytes; upload the audio and send it again"
            )
        with _disk_errors():
            into.flush()
        return size

    def _follow(self, location: Location, into: BinaryIO, deadline: Deadline) -> int:
        for _ in range(self._policy.max_redirects + 1):
            with self._request(location, deadline) as response:
                if response.status in _REDIRECTS:
                    location = _next_location(location, response)
                    continue
                check_answer(response, location)
                if response.status != HTTPStatus.PARTIAL_CONTENT:
                    return self._store(response, location, into, deadline)
                part = first_part(response, location)
                self._policy.check_size(part.whole, location)
                part.check_stored(self._store(response, location, into, deadline), location)
            return self._store_rest(part, location, into, deadline)
        raise InputError(
            Code.TOO_MANY_REDIRECTS,
            f"more than {self._policy.max_redirects} redirects, the last to {location}; send the "
            "address that they end at",
        )

    def _store_rest(
        self, part: Part, location: Location, into: BinaryIO, deadline: Deadline
    ) -> int:
        """Store what is missing after the first part of a file; return the size of all of it."""
        for _ in range(_MAX_PARTS):
            if part.end == part.whole:
                return part.whole
            with self._request(location, deadline, part.ask_for_next()) as response:
                part = part.next_of(response, location)
                size = self._store(response, location, into, deadline, part.begin)
                part.check_stored(size, location)
        raise TransientError(
            Code.FETCH_FAILED,
            f"{location} comes in more than {_MAX_PARTS} parts; check that its server answers 200 "
            "with the whole file",
        )

    @contextmanager
    def _request(
        self, location: Location, deadline: Deadline, headers: Mapping[str, str] = _NO_HEADERS
    ) -> Iterator[HTTPResponse]:
        self._policy.check_location(location)
        addresses = self._look_up(location)
        self._policy.check_addresses(location, addresses)
        with request(location, addresses, self._policy, self._tls, deadline, headers) as response:
            yield response

    def _look_up(self, location: Location) -> Sequence[Address]:
        unresolved = TransientError(
            Code.FETCH_FAILED,
            f"the name {location.host} could not be resolved; check the worker's DNS",
        )
        try:
            addresses = self._resolver(location.host, location.port)
        except (OSError, UnicodeError) as error:
            if isinstance(error, gaierror) and error.errno in _NAME_UNKNOWN:
                raise InputError(
                    Code.NOT_FOUND, f"the host {location.host} does not exist; check the address"
                ) from None
            raise unresolved from None
        if not addresses:
            raise unresolved
        return addresses

    def _store(
        self,
        response: HTTPResponse,
        location: Location,
        into: BinaryIO,
        deadline: Deadline,
        before: int = 0,
    ) -> int:
        """Store an answer of a file of which `before` bytes are stored; return its own size."""
        declared = response.headers.get("Content-Length", "")
        if declared.isdecimal():
            self._policy.check_size(before + int(declared), location)
        # read1 gives what one read of the socket gave: a slow drip cannot hide from the deadline.
        return self._pour(lambda: response.read1(_CHUNK_BYTES), into, location, deadline, before)

    def _copy(self, url: str, into: BinaryIO, deadline: Deadline) -> int:
        with open_local(url, self._policy.file_roots) as file:
            return self._pour(lambda: file.read(_CHUNK_BYTES), into, "the file", deadline)

    def _pour(
        self,
        read: Callable[[], bytes],
        into: BinaryIO,
        source: object,
        deadline: Deadline,
        before: int = 0,
    ) -> int:
        size = 0
        while chunk := read():
            deadline.remaining(source)
            size += len(chunk)
            self._policy.check_size(before + size, source)
            with _disk_errors():
                into.write(chunk)
        # A body without a length ends where the connection does, and the deadline ends that too.
        deadline.remaining(source)
        return size


def _trust(context: ssl.SSLContext, authorities: Path) -> None:
    try:
        context.load_verify_locations(authorities)
    except ssl.SSLError as error:
        raise ConfigurationError(
            f"{authorities} holds no certificates in PEM; name the file of those that sign your "
            "file servers' with --fetch-ca-file"
        ) from error
    except OSError as error:
        raise ConfigurationError(
            f"{authorities} cannot be read ({error.strerror}); name a file "
            "that can with --fetch-ca-file"
        ) from error


def _first_location(url: str) -> Location:
    scheme, colon, _ = url.partition(":")
    if colon and scheme.isalnum() and scheme.lower() not in ("http", "https"):
        raise InputError(
            Code.SCHEME_REFUSED,
            f"addresses that begin with {scheme[:20]}: are not fetched; send an https address",
        )
    try:
        return parse_location(url)
    except ValueError as error:
        raise InputError(Code.INVALID_JOB, f"`url`: {error}") from None


def _next_location(location: Location, response: HTTPResponse) -> Location:
    reference = response.headers.get("Location", "")
    if not reference:
        raise InputError(
            Code.FETCH_REFUSED,
            f"{location} answers {response.status} without saying where to; send the final address",
        )
    try:
        return resolve_redirect(location, reference)
    except ValueError as error:
        raise InputError(Code.FETCH_REFUSED, f"{location} cannot be followed: {error}") from None


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with _disk_errors():
        file = path.open("wb")
    try:
        yield file
    finally:
        with _disk_errors():
            file.close()


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MachineError(
            f"fetched audio cannot be stored ({error.strerror}); give the scratch folder room"
        ) from error

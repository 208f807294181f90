"""One GET to one checked address: pinned, verified against the name, and over by its deadline.

Proxies of the environment, cookies, credentials, retries and the library's own redirects are not
used: retrying belongs to the queue, and each hop is checked by the caller.
"""

import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from types import MappingProxyType

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError
from urllib3.response import HTTPResponse

from whisperfleet import __version__
from whisperfleet.audio.addresses import Address
from whisperfleet.audio.locations import Location
from whisperfleet.audio.policy import FetchPolicy
from whisperfleet.contract.codes import Code
from whisperfleet.errors import InputError, JobError, TransientError

__all__ = ["Deadline", "request"]

# It warns of malformed headers with the whole address, query included; that belongs into no log.
logging.getLogger("urllib3.connection").setLevel(logging.ERROR)

# A dead address costs a connect timeout each; more of them would only add waiting.
_MAX_ADDRESSES_TRIED = 4


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment of `time.monotonic()`."""

    moment: float

    def remaining(self, source: object) -> float:
        """Return the seconds left; raises TransientError FETCH_TIMEOUT if there are none."""
        seconds = self.moment - time.monotonic()
        if seconds <= 0:
            raise _timed_out(source)
        return seconds


@contextmanager
def request(
    location: Location,
    addresses: Sequence[Address],
    policy: FetchPolicy,
    tls: ssl.SSLContext,
    deadline: Deadline,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[HTTPResponse]:
    """Ask one of `addresses` for `location`; the body is still to be read, as it was sent.

    `headers` go with the request beside the usual ones.
    Whatever goes wrong until the block ends is raised as InputError (a certificate that does not
    hold) or TransientError (everything else).
    """
    with _job_errors(location, deadline):
        connection = _connect(location, addresses, policy, tls, deadline)
        with closing(connection), _cut_at(deadline, connection, location):
            connection.timeout = policy.read_timeout_seconds
            connection.request(
                "GET",
                location.target,
                headers={
                    "Host": location.host_header,
                    "Accept": "*/*",
                    "Accept-Encoding": "identity",
                    "User-Agent": f"whisperfleet/{__version__}",
                    "Connection": "close",
                    **headers,
                },
                preload_content=False,
                decode_content=False,
            )
            with closing(connection.getresponse()) as response:
                yield response


def _connect(
    location: Location,
    addresses: Sequence[Address],
    policy: FetchPolicy,
    tls: ssl.SSLContext,
    deadline: Deadline,
) -> HTTPConnection:
    *fallbacks, last = addresses[:_MAX_ADDRESSES_TRIED]
    for address in fallbacks:
        with suppress(ConnectTimeoutError):  # or refused, which is a subclass
            return _connect_to(address, location, policy, tls, deadline)
    return _connect_to(last, location, policy, tls, deadline)


def _connect_to(
    address: Address,
    location: Location,
    policy: FetchPolicy,
    tls: ssl.SSLContext,
    deadline: Deadline,
) -> HTTPConnection:
    timeout = min(policy.connect_timeout_seconds, deadline.remaining(location))
    connection: HTTPConnection
    if location.scheme == "http":
        connection = HTTPConnection(str(address), location.port, timeout=timeout)
    else:
        connection = HTTPSConnection(
            str(address),
            location.port,
            timeout=timeout,
            ssl_context=tls,
            # Sent as SNI, and what OpenSSL verifies the certificate against.
            server_hostname=location.host,
        )
    try:
        connection.connect()
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _cut_at(deadline: Deadline, connection: HTTPConnection, source: object) -> Iterator[None]:
    """Shut the connection when the deadline comes.

    A socket's timeout bounds one read; a server that sends a byte of its headers now and then would
    never meet it.
    """
    timer = threading.Timer(deadline.remaining(source), _shut_down, args=(connection.sock,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _shut_down(connected: socket.socket) -> None:
    with suppress(OSError):  # closed already, from either side
        # Not SSLSocket.shutdown: it would take the TLS layer away from under the reader.
        socket.socket.shutdown(connected, socket.SHUT_RDWR)


@contextmanager
def _job_errors(location: Location, deadline: Deadline) -> Iterator[None]:
    """Say what went wrong on the way in the words of the contract."""
    try:
        yield
    except JobError:
        raise
    except (HTTPError, HTTPException, OSError) as error:
        # From None: their texts may hold the address with its query.
        raise _as_job_error(list(_causes(error)), location, deadline) from None


def _as_job_error(
    causes: Sequence[BaseException], location: Location, deadline: Deadline
) -> JobError:
    # urllib3's own classes do not tell: its NewConnectionError is a ConnectTimeoutError.
    if time.monotonic() >= deadline.moment or any(isinstance(c, TimeoutError) for c in causes):
        return _timed_out(location)
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return InputError(
                Code.FETCH_REFUSED,
                f"the certificate of {location.host} does not hold ({cause.verify_message}); renew "
                "it, or mount its authority into the worker",
            )
    return TransientError(
        Code.FETCH_FAILED,
        f"the transfer from {location} broke off ({type(causes[-1]).__name__}); check that its "
        "server is up and can be reached from the worker",
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _timed_out(source: object) -> TransientError:
    return TransientError(
        Code.FETCH_TIMEOUT,
        f"{source} did not arrive in time; check its server's speed, or raise the worker's fetch "
        "timeouts",
    )

"""An address in its parts, read once: what was checked is what is contacted."""

import re
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from urllib.parse import quote, urljoin, urlsplit

__all__ = ["DEFAULT_PORTS", "Location", "parse_location", "resolve_redirect"]

DEFAULT_PORTS = {"http": 80, "https": 443}

# Underscores are not host names by RFC 952, but internal DNS has them.
_HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?")
# What RFC 3986 lets stand in a path or a query, and `%`: an escape stays as its producer wrote it,
# or the signature of a presigned address would no longer fit.
_TARGET_SAFE = "/%:@!$&'()*+,;=-._~?[]"
_MAX_SHOWN_CHARACTERS = 200
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))


@dataclass(frozen=True, slots=True)
class Location:
    """Where an http or https address leads.

    `host` is lower-case ASCII without brackets or a final dot; `target` is the path and the query
    as they go into the request. `str()` leaves out the query, which often holds a signature.
    """

    scheme: str
    host: str
    port: int
    target: str = field(repr=False)

    @property
    def host_header(self) -> str:
        """The `Host` of a request for it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        shown = f"{self.scheme}://{self.host_header}{self.target.partition('?')[0]}"
        return shown if len(shown) <= _MAX_SHOWN_CHARACTERS else shown[:_MAX_SHOWN_CHARACTERS] + "…"


def parse_location(url: str) -> Location:
    """Return the parts of an http or https address.

    Raises ValueError with a sentence that is fit for the producer: it never repeats the address.
    """
    # Parsers disagree on these, and urlsplit removes some of them silently.
    if any(ord(character) <= 0x20 or character in "\\\x7f" for character in url):
        raise ValueError(
            "the address has blanks, control characters or backslashes; escape them with %"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("the address cannot be parsed; write https://host/path") from None
    if parts.scheme not in DEFAULT_PORTS:
        raise ValueError("the address is neither https nor http; write https://host/path")
    if "@" in parts.netloc:
        raise ValueError("the address carries credentials; send a presigned address instead")
    host = _normalise_host(parts.hostname or "", bracketed="[" in parts.netloc)
    if port == 0:
        raise ValueError("the address has port 0; leave the port out, or write the right one")
    path = quote(parts.path or "/", safe=_TARGET_SAFE.replace("?", ""))
    target = f"{path}?{quote(parts.query, safe=_TARGET_SAFE)}" if parts.query else path
    return Location(
        parts.scheme, host, DEFAULT_PORTS[parts.scheme] if port is None else port, target
    )


def resolve_redirect(origin: Location, reference: str) -> Location:
    """Return where a `Location` header leads, seen from `origin`; raises ValueError.

    Blanks and other characters that an address cannot have are escaped, as browsers do: the
    producer has no say in what a server writes.
    """
    base = f"{origin.scheme}://{origin.host_header}{origin.target}"
    try:
        return parse_location(urljoin(base, _escaped(reference)))
    except ValueError as error:
        raise ValueError(f"it redirects, and {error}") from None


def _escaped(reference: str) -> str:
    # The header comes as one character a byte.
    sent = reference.encode("latin-1", "replace")
    try:
        text = sent.decode()
    except UnicodeDecodeError:
        text = quote(sent, safe=_PRINTABLE)
    return text.strip().replace(" ", "%20")


def _normalise_host(host: str, *, bracketed: bool) -> str:
    if bracketed:
        try:
            address = IPv6Address(host)
        except ValueError:
            address = None
        if address is None or address.scope_id:
            raise ValueError(
                "the address has no valid IPv6 host in brackets; write https://host/path"
            )
        return str(address)
    try:
        ascii_host = host.encode("idna").decode("ascii").lower().removesuffix(".")
    except UnicodeError:
        raise ValueError(
            "the address has a host that is no valid name; write https://host/path"
        ) from None
    if not _HOST_NAME.fullmatch(ascii_host):
        raise ValueError("the address has no valid host name; write https://host/path")
    return ascii_host

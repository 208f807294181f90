"""What a worker may fetch: schemes, hosts, ports, networks, sizes and times."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address
from pathlib import Path

from whisperfleet.audio.addresses import Address, refusal
from whisperfleet.audio.locations import DEFAULT_PORTS, Location
from whisperfleet.contract.codes import Code
from whisperfleet.contract.times import check_seconds
from whisperfleet.errors import InputError
from whisperfleet.settings import InputSettings
from whisperfleet.settings.forms import Network

__all__ = ["FetchPolicy"]

_SET = InputSettings()


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """The limits of every fetch. Refusals are `InputError`: the job fails and is not tried again.

    `allowed_hosts` are exact names, ``*.suffix`` patterns (``*.example.org`` covers its subdomains,
    not ``example.org``) or IPv6 addresses (``[::1]`` or ``::1``); empty, any host.
    `allowed_networks` may be contacted although they are not public. A host must pass both.
    `allowed_ports` empty means: the scheme's own port for any host, and any port of a host that
    `allowed_hosts` names, because naming it is trust enough. `file:` addresses work only under
    `file_roots`, so nowhere by default; `ca_file` adds the certificate authority of a private
    store.
    """

    allow_http: bool = _SET.allow_http
    file_roots: tuple[Path, ...] = _SET.file_roots
    allowed_hosts: tuple[str, ...] = _SET.allowed_hosts
    allowed_networks: tuple[Network, ...] = _SET.allowed_networks
    allowed_ports: frozenset[int] = frozenset()
    ca_file: Path | None = _SET.fetch_ca_file
    max_bytes: int = _SET.max_bytes
    max_redirects: int = 5
    connect_timeout_seconds: float = 10.0
    read_timeout_seconds: float = 30.0
    total_timeout_seconds: float = _SET.fetch_timeout_seconds

    def __post_init__(self) -> None:
        for pattern in self.allowed_hosts:
            name = pattern.removeprefix("*.")
            if _ipv6(pattern):
                continue
            if not name or name != name.lower() or set(name) & set("*/:[] "):
                raise ValueError(
                    f"allowed host {pattern!r}: write a name in lower case, *.suffix or an IPv6 "
                    "address, without scheme, port or path; each port of a host that is named is "
                    "allowed"
                )
        for name in ("connect_timeout_seconds", "read_timeout_seconds", "total_timeout_seconds"):
            check_seconds(name, getattr(self, name))
        if self.max_bytes < 1:
            raise ValueError(f"max_bytes is {self.max_bytes}; it must be 1 or more")
        if self.max_redirects < 0:
            raise ValueError("max_redirects must be 0 or more")

    def check_location(self, location: Location) -> None:
        """Refuse a scheme, host or port that is not allowed; nothing is resolved yet."""
        if location.scheme == "http" and not self.allow_http:
            raise InputError(
                Code.SCHEME_REFUSED,
                f"{location} is not encrypted; send an https address, or allow http in the "
                "worker's settings",
            )
        named = any(_covers(pattern, location.host) for pattern in self.allowed_hosts)
        if self.allowed_hosts and not named:
            raise InputError(
                Code.HOST_REFUSED,
                f"the host {location.host} is not allowed; store the file on an allowed host, or "
                "add this one to the worker's allowed hosts",
            )
        if self.allowed_ports:
            port_allowed = location.port in self.allowed_ports
        else:
            port_allowed = named or location.port == DEFAULT_PORTS[location.scheme]
        if not port_allowed:
            raise InputError(
                Code.HOST_REFUSED,
                f"port {location.port} of {location.host} is not allowed; use the port of "
                f"{location.scheme}, or name the host in the worker's allowed hosts",
            )

    def check_addresses(self, location: Location, addresses: Sequence[Address]) -> None:
        """Refuse a host if any address it resolves to is refused: one bad answer taints them all.

        A name that mixes public and private addresses is either an attack or a mistake. The
        sentence does not say which address: a producer could read the cluster's own DNS with it.
        """
        for address in addresses:
            if kind := refusal(address, self.allowed_networks):
                raise InputError(
                    Code.ADDRESS_REFUSED,
                    f"{location.host} leads to an address that is {kind}; use a public one, or "
                    "have its network added to the worker's allowed networks (metadata services "
                    "cannot be)",
                )

    def check_size(self, size_bytes: int, source: object) -> None:
        """Refuse more bytes than `max_bytes`."""
        if size_bytes > self.max_bytes:
            raise InputError(
                Code.TOO_LARGE,
                f"{source} has more than the {self.max_bytes} bytes that are allowed; compress or "
                "cut it, or raise the worker's limit",
            )


def _covers(pattern: str, host: str) -> bool:
    if pattern.startswith("*."):
        return host.endswith(pattern[1:])
    return host == (_ipv6(pattern) or pattern)


def _ipv6(pattern: str) -> str | None:
    """Return an IPv6 address as locations have it, or None where a pattern is something else."""
    bracketed = pattern.startswith("[") and pattern.endswith("]")
    try:
        address = IPv6Address(pattern[1:-1] if bracketed else pattern)
    except ValueError:
        return None
    return None if address.scope_id else str(address)

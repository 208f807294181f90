"""Which IP addresses may be contacted: global unicast, and what an operator allows by name.

A producer chooses the address of the audio, so a worker that follows it blindly is a way into the
cluster. Everything that is not plainly a host on the public internet is refused. The tables are
written out because `ipaddress.is_global` changed its answers between patch releases of Python
(CVE-2024-4032).
"""

from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)

from whisperfleet.settings.forms import Network

__all__ = ["Address", "refusal"]

Address = IPv4Address | IPv6Address

# IANA IPv4 Special-Purpose Address Registry, the entries that no public server can have, and the
# multicast and reserved space above 224.0.0.0.
_REFUSED_V4 = {
    IPv4Network("0.0.0.0/8"): "unspecified or of this network",
    IPv4Network("10.0.0.0/8"): "private",
    IPv4Network("100.64.0.0/10"): "shared between a provider and its customers",
    IPv4Network("127.0.0.0/8"): "loopback",
    IPv4Network("169.254.0.0/16"): "link-local",
    IPv4Network("172.16.0.0/12"): "private",
    IPv4Network("192.0.0.0/24"): "reserved for protocols",
    IPv4Network("192.0.2.0/24"): "for documentation",
    IPv4Network("192.88.99.0/24"): "a retired relay",
    IPv4Network("192.168.0.0/16"): "private",
    IPv4Network("198.18.0.0/15"): "for benchmarks",
    IPv4Network("198.51.100.0/24"): "for documentation",
    IPv4Network("203.0.113.0/24"): "for documentation",
    IPv4Network("224.0.0.0/4"): "multicast",
    IPv4Network("240.0.0.0/4"): "reserved",
}

# RFC 4291: the only block from which global unicast addresses are given out...
_GLOBAL_V6 = IPv6Network("2000::/3")
# ... less what the IANA IPv6 Special-Purpose Address Registry takes away again. 6to4 and Teredo
# (in 2001::/23) embed an IPv4 address that the tunnel would reach; both are retired: refused whole.
_REFUSED_V6 = {
    IPv6Network("::/128"): "unspecified",
    IPv6Network("::1/128"): "loopback",
    IPv6Network("::ffff:0:0/96"): "an IPv4 address in disguise",
    IPv6Network("2001::/23"): "reserved for protocols, such as Teredo",
    IPv6Network("2001:db8::/32"): "for documentation",
    IPv6Network("2002::/16"): "a 6to4 tunnel",
    IPv6Network("3fff::/20"): "for documentation",
    IPv6Network("fc00::/7"): "private",
    IPv6Network("fe80::/10"): "link-local",
    IPv6Network("fec0::/10"): "site-local",
    IPv6Network("ff00::/8"): "multicast",
}
# RFC 6052: how an IPv6-only cluster reaches IPv4. Judged by the IPv4 address in the last 32 bits.
_NAT64 = IPv6Network("64:ff9b::/96")

# Where clouds hand out credentials. No allow-list opens these, however wide it is.
_METADATA = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",  # AWS, Azure, Google Cloud, DigitalOcean and others
        "169.254.170.2",  # AWS ECS task credentials
        "169.254.170.23",  # AWS EKS pod identity
        "100.100.100.200",  # Alibaba Cloud
        "168.63.129.16",  # Azure host service, in public address space
        "192.0.0.192",  # Oracle Cloud
        "fd00:ec2::254",  # AWS
        "fd00:ec2::23",  # AWS EKS pod identity
        "fd20:ce::254",  # Google Cloud
    )
)


def refusal(address: Address, allowed: Iterable[Network] = ()) -> str | None:
    """Return what kind of address this is if it may not be contacted, else None.

    `allowed` are networks that may be contacted although they are not public: an object store
    inside the cluster, loopback in a test. They cover neither the metadata services of clouds nor
    an IPv4 address in the disguise of NAT64.
    """
    if isinstance(address, IPv6Address):
        # An address with a zone (fe80::1%eth0) equals no address without one.
        address = IPv6Address(int(address))
        if address in _NAT64:
            return refusal(IPv4Address(int(address) & 0xFFFFFFFF))
    if address in _METADATA:
        return "a cloud's metadata service"
    if any(address in network for network in allowed):
        return None
    return _special_purpose(address)


def _special_purpose(address: Address) -> str | None:
    table: dict[IPv4Network, str] | dict[IPv6Network, str]
    table = _REFUSED_V4 if isinstance(address, IPv4Address) else _REFUSED_V6
    for network, kind in table.items():
        if address in network:
            return kind
    if isinstance(address, IPv6Address) and address not in _GLOBAL_V6:
        return "not global unicast"
    return None

"""The bridge that carries the node's address, and what would be in its way."""

import ipaddress
import json
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hack.testbed.commands import run_command
from hack.testbed.errors import TestbedError
from hack.testbed.layout import BRIDGE, NODE_IP, NODE_RANGE, POD_RANGE, SERVICE_RANGE
from hack.testbed.processes import wait_until

__all__ = [
    "check_ports",
    "check_ranges",
    "links",
    "make_bridge",
    "remove_bridge",
    "remove_service_rules",
    "wait_for_pod_links",
]

_PROXY_TABLES = (("ip", "kube-proxy"), ("ip6", "kube-proxy"))
_GONE_SECONDS = 15.0


def check_ranges() -> None:
    """Raise TestbedError where this machine uses the testbed's addresses or a kube-proxy's rules.

    To be called before the testbed takes them itself.
    """
    routes = _ip_json("-4", "route", "show", "table", "all")
    for route in routes:
        # A default route covers everything and is in nobody's way.
        if route["dst"] == "default" or route.get("type") == "broadcast":
            continue
        taken = ipaddress.ip_network(route["dst"], strict=False)
        for name, ours in (("node", NODE_RANGE), ("pod", POD_RANGE), ("service", SERVICE_RANGE)):
            if taken.overlaps(ipaddress.ip_network(ours)):
                raise TestbedError(
                    f"the testbed's {name} addresses {ours} overlap with the route to "
                    f"{route['dst']} over {route.get('dev', '?')} on this machine: remove that "
                    "route or run the testbed on another machine"
                )
    for family, table in _present_tables():
        raise TestbedError(
            f"the nftables table '{family} {table}' is there already: another Kubernetes node runs "
            "on this machine. Stop it first, or, if it is a left-over, "
            f"`nft delete table {family} {table}`"
        )


def check_ports(owner: str, addresses: Iterable[tuple[str, int]]) -> None:
    """Raise TestbedError where another process listens on a port that a component needs."""
    for address, port in addresses:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError as error:
                raise TestbedError(
                    f"{owner} needs {address}:{port}, which is taken ({error.strerror}); "
                    f"`ss -ltnp sport = :{port}` says by what: stop that first"
                ) from None


def make_bridge() -> None:
    """Make the bridge with the node's address, and the route to the Services, once."""
    if not any(link == BRIDGE for link in links()):
        _ip("link", "add", BRIDGE, "type", "bridge")
    _ip("address", "replace", f"{NODE_IP}/{NODE_RANGE.partition('/')[2]}", "dev", BRIDGE)
    _ip("link", "set", BRIDGE, "up")
    # Requests of this host to a Service get the node's address as their source, with or without a
    # default route, and one to a Service that does not exist stays on this machine.
    _ip("route", "replace", SERVICE_RANGE, "dev", BRIDGE)


def remove_bridge() -> None:
    """Remove the bridge with its address and routes, if it is there."""
    if any(link == BRIDGE for link in links()):
        _ip("link", "delete", BRIDGE)


def remove_service_rules() -> None:
    """Remove kube-proxy's tables."""
    for family, table in _present_tables():
        run_command(
            ["nft", "delete", "table", family, table],
            "delete the table by hand and take the testbed down again",
        )


def wait_for_pod_links() -> None:
    """Wait until the interfaces of pods are gone: the kernel takes them away after their pods.

    Raises TestbedError where one stays.
    """
    if not wait_until(lambda: not _pod_links(), _GONE_SECONDS):
        raise TestbedError(
            f"interfaces of pods are still there: {', '.join(_pod_links())}; a process holds their "
            "network namespaces (`lsns -t net`): end it and take the testbed down again"
        )


def links() -> list[str]:
    """Return the names of this machine's network interfaces."""
    return [link.name for link in Path("/sys/class/net").iterdir()]


def _pod_links() -> list[str]:
    # The host's end of a pod's pair carries the first address of the pods' range.
    gateway = str(ipaddress.ip_network(POD_RANGE)[1])
    return [
        link["ifname"]
        for link in _ip_json("-4", "address", "show")
        for address in link["addr_info"]
        if address["local"] == gateway
    ]


def _present_tables() -> list[tuple[str, str]]:
    listed = run_command(
        ["nft", "--json", "list", "tables"],
        "the testbed needs root and a kernel with nftables, for kube-proxy's rules",
    )
    present = {
        (entry["table"]["family"], entry["table"]["name"])
        for entry in json.loads(listed)["nftables"]
        if "table" in entry
    }
    return [table for table in _PROXY_TABLES if table in present]


def _ip(*arguments: str) -> str:
    return run_command(
        ["ip", *arguments], "the testbed needs the right to change interfaces and routes"
    )


def _ip_json(*arguments: str) -> list[dict[str, Any]]:
    parsed: list[dict[str, Any]] = json.loads(_ip("-json", *arguments) or "[]")
    return parsed

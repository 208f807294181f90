"""The settings that are not one word: how they are read from a text, and written."""

import os
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Final

from whisperfleet.contract.keys import Priority, check_name
from whisperfleet.settings.declare import TextForm

__all__ = ["FOLDERS", "HOSTS", "NETWORKS", "PRIORITIES", "TENANTS", "Network", "parse_networks"]

Network = IPv4Network | IPv6Network


def _split(text: str, separator: str = ",") -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(separator) if part.strip())


def _join(values: Iterable[object]) -> str:
    return ",".join(map(str, values))


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Return the networks that texts such as ``10.20.0.0/16`` or ``fd12::/48`` name.

    Raises ValueError, with a sentence, for anything else.
    """
    networks = []
    for text in texts:
        try:
            networks.append(ip_network(text.strip()))
        except ValueError as error:
            raise ValueError(
                f"{text!r} is not a network ({error}); write it as 10.20.0.0/16"
            ) from None
    return tuple(networks)


def _read_networks(text: str) -> tuple[Network, ...]:
    return parse_networks(_split(text))


def _read_folders(text: str) -> tuple[Path, ...]:
    return tuple(map(Path, _split(text, os.pathsep)))


def _write_folders(folders: Iterable[Path]) -> str:
    return os.pathsep.join(map(str, folders))


def _read_priorities(text: str) -> tuple[Priority, ...]:
    priorities = []
    for part in _split(text):
        name, _, weight = part.partition(":")
        if not weight.isdecimal() or int(weight) < 1:
            raise ValueError(f"the priority {part!r} has no weight: write name:weight, from 1 up")
        check_name(name)
        priorities.append(Priority(name, int(weight)))
    names = [priority.name for priority in priorities]
    if len(names) > len(set(names)):
        raise ValueError(f"a priority stands twice in {text!r}; give it one weight")
    if not priorities:
        raise ValueError("a worker needs at least one priority to work on")
    return tuple(priorities)


def _read_tenants(text: str) -> tuple[str, ...]:
    # Who is named twice has one stream of each priority all the same.
    tenants = tuple(dict.fromkeys(_split(text)))
    for tenant in tenants:
        check_name(tenant)
    return tenants


def _write_priorities(priorities: Iterable[Priority]) -> str:
    return ",".join(f"{each.name}:{each.weight}" for each in priorities)


TENANTS: Final = TextForm("By commas.", _read_tenants, _join)
"""Names of tenants, by commas."""

HOSTS: Final = TextForm("By commas; an IPv6 address in brackets.", _split, _join)
"""Hosts, by commas."""

NETWORKS: Final = TextForm("By commas.", _read_networks, _join)
"""Networks such as ``10.20.0.0/16``, by commas."""

FOLDERS: Final = TextForm(f"By `{os.pathsep}`.", _read_folders, _write_folders)
"""Folders, by the system's separator of a list of paths."""

PRIORITIES: Final = TextForm("Written name:weight, by commas.", _read_priorities, _write_priorities)
"""Priorities as ``name:weight``, by commas."""

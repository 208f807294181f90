"""What there is on a machine that a testbed could leave behind, to compare before with after."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, Self

from hack.testbed.commands import run_command
from hack.testbed.layout import CGROUP, Layout
from hack.testbed.machine import CHANGED_SYSCTLS, FIXED_FOLDERS, KUBELET_LINK
from hack.testbed.mounts import mounts
from hack.testbed.network import links

__all__ = ["Footprint"]

_NETNS_FOLDERS: Final = (Path("/run/netns"), Path("/run/docker/netns"))
_WATCHED: Final = (
    *FIXED_FOLDERS,
    KUBELET_LINK,
    Path("/etc/cni"),
    Path("/var/lib/containerd"),
    Path("/var/log/pods"),
    Path("/opt/containerd"),
    Path("/opt/cni"),
    Path("/usr/libexec/kubernetes"),
)
# Counters of packets change by themselves, handles count up, and lifetimes that a DHCP server or a
# router has given count down.
_COUNTERS: Final = re.compile(
    r"\[\d+:\d+\]|packets \d+ bytes \d+|# handle \d+|(?:valid_lft|preferred_lft|expires) \d+sec"
)


@dataclass(frozen=True, slots=True)
class Footprint:
    """A machine at one moment: a set of lines for each thing that could be left behind.

    Processes are those that belong to a testbed: by their control group, by the folders in their
    command line, or by a network of their own. Control groups are those at the top and everything
    below the testbed's.
    """

    processes: frozenset[str]
    mounts: frozenset[str]
    links: frozenset[str]
    addresses: frozenset[str]
    routes: frozenset[str]
    network_namespaces: frozenset[str]
    nftables: frozenset[str]
    iptables: frozenset[str]
    control_groups: frozenset[str]
    sysctls: frozenset[str]
    paths: frozenset[str]

    @classmethod
    def take(cls, layout: Layout) -> Self:
        """Look at the machine."""
        return cls(
            processes=frozenset(_processes(layout)),
            mounts=frozenset(mount.point for mount in mounts()),
            links=frozenset(links()),
            addresses=_lines("ip", "-oneline", "address", "show"),
            routes=_lines("ip", "route", "show", "table", "all"),
            network_namespaces=frozenset(
                str(path) for folder in _NETNS_FOLDERS for path in folder.glob("*")
            ),
            nftables=_lines("nft", "list", "ruleset"),
            iptables=_lines("iptables-save") | _lines("ip6tables-save"),
            control_groups=frozenset(_control_groups()),
            sysctls=frozenset(
                f"{name} = {(Path('/proc/sys') / name).read_text().strip()}"
                for name in (*CHANGED_SYSCTLS, *_network_sysctls())
            ),
            paths=frozenset(_paths(layout)),
        )

    def changes(self, after: Self) -> list[str]:
        """Return what is new or gone in `after`, a line each."""
        found = []
        for field in fields(self):
            had, has = getattr(self, field.name), getattr(after, field.name)
            found += [f"{field.name}: new: {line}" for line in sorted(has - had)]
            found += [f"{field.name}: gone: {line}" for line in sorted(had - has)]
        return found


def _processes(layout: Layout) -> Iterable[str]:
    own_network = _network_of(os.getpid())
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            groups = (folder / "cgroup").read_text()
            network = _network_of(pid)
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        is_testbed = (
            f"/{CGROUP}" in groups
            or any(f"{path}/" in command for path in (layout.state, layout.cache))
            or network != own_network
        )
        # A kernel thread or a process that nobody has waited for has no command line.
        if command and is_testbed:
            yield f"{pid} {command}"


def _network_of(pid: int) -> str:
    return str(Path(f"/proc/{pid}/ns/net").readlink())


def _control_groups() -> Iterable[str]:
    for mount in mounts():
        if mount.kind not in {"cgroup", "cgroup2"}:
            continue
        root = Path(mount.point)
        yield from (str(path) for path in root.iterdir() if path.is_dir())
        yield from (folder for folder, _, _ in os.walk(root / CGROUP))


def _network_sysctls() -> Iterable[str]:
    root = Path("/proc/sys")
    for scope in ("all", "default"):
        for version in ("ipv4", "ipv6"):
            for path in (root / "net" / version / "conf" / scope).glob("*"):
                # Secrets and triggers cannot be read.
                if path.is_file() and path.name != "stable_secret" and os.access(path, os.R_OK):
                    yield str(path.relative_to(root))


def _paths(layout: Layout) -> Iterable[str]:
    for root in (*_WATCHED, layout.state):
        if root.exists() or root.is_symlink():
            yield str(root)
        yield from (str(path) for path in root.rglob("*") if not path.is_socket())


def _lines(*command: str) -> frozenset[str]:
    shown = run_command(command, "what is left on this machine cannot be told without it")
    lines = (_COUNTERS.sub("", line).strip() for line in shown.splitlines())
    return frozenset(line for line in lines if line and not line.startswith("#"))

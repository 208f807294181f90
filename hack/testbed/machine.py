"""What the components change on the machine outside the testbed's own folder, and undoing it.

Some paths are fixed in containerd, the CNI library and the kubelet. What is ours there goes; the
folders go too where they were not there before.
"""

import json
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from hack.testbed import cgroups
from hack.testbed.errors import TestbedError
from hack.testbed.files import write
from hack.testbed.layout import Layout

__all__ = ["CHANGED_SYSCTLS", "FIXED_FOLDERS", "KUBELET_LINK", "Before", "restore"]

# The kubelet's device manager looks for plugins in /var/lib/kubelet whatever its root folder is.
KUBELET_LINK: Final = Path("/var/lib/kubelet")
_SHIM_SOCKETS: Final = Path("/run/containerd/s")
_CNI_RESULTS: Final = Path("/var/lib/cni/results")
_CONTAINER_LOGS: Final = Path("/var/log/containers")
_NETWORK_NAME: Final = "whisperfleet-testbed"

# Children first.
FIXED_FOLDERS: Final = (
    _SHIM_SOCKETS,
    Path("/run/containerd/fifo"),
    Path("/run/containerd"),
    _CNI_RESULTS,
    Path("/var/lib/cni"),
    _CONTAINER_LOGS,
)

# Set by the kubelet (kernel tunables) and by the CNI plugin (forwarding), never set back by them.
CHANGED_SYSCTLS: Final = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
    "net/ipv4/ip_forward",
)


@dataclass(frozen=True, slots=True)
class Before:
    """What the machine was like before `up`.

    The kernel's settings, the folders that were there, and the controllers that control groups had.
    """

    sysctls: dict[str, str]
    folders: list[str]
    controllers: list[str]

    @classmethod
    def record(cls, layout: Layout) -> None:
        """Look at the machine and write down what it is like, unless that has been done.

        Raises TestbedError where another kubelet lives here.
        """
        if layout.machine_before.exists():
            return
        if KUBELET_LINK.exists() or KUBELET_LINK.is_symlink():
            raise TestbedError(
                f"{KUBELET_LINK} is there already: another kubelet lives on this machine. Remove "
                "it if it is a left-over, or run the testbed on another machine"
            )
        found = cls(
            {name: _sysctl(name).read_text() for name in CHANGED_SYSCTLS},
            [str(folder) for folder in FIXED_FOLDERS if folder.exists()],
            cgroups.delegated_controllers(),
        )
        write(layout.machine_before, json.dumps(asdict(found)))


def restore(layout: Layout) -> None:
    """Put the machine back as it was before `up`. No process of the testbed may be left."""
    if not layout.machine_before.exists():
        return
    before = Before(**json.loads(layout.machine_before.read_text()))
    if KUBELET_LINK.is_symlink() and KUBELET_LINK.readlink() == layout.kubelet:
        KUBELET_LINK.unlink()
    _remove_dead_sockets(_SHIM_SOCKETS)
    _remove_results()
    for link in _CONTAINER_LOGS.glob("*"):
        if link.is_symlink() and link.readlink().is_relative_to(layout.state):
            link.unlink()
    for folder in FIXED_FOLDERS:
        if str(folder) not in before.folders:
            # One that others have filled since is theirs.
            with suppress(OSError):
                folder.rmdir()
    for name, value in before.sysctls.items():
        if _sysctl(name).read_text() != value:
            _sysctl(name).write_text(value)
    cgroups.take_back_controllers(before.controllers)


def _remove_results() -> None:
    """Remove what the CNI library keeps of our pods, of their loopback interfaces too.

    The files are called after network, pod and interface; every runtime has a network cni-loopback.
    """
    for result in list(_CNI_RESULTS.glob(f"{_NETWORK_NAME}-*")):
        pod = result.name.removeprefix(f"{_NETWORK_NAME}-").partition("-")[0]
        for of_pod in _CNI_RESULTS.glob(f"*-{pod}-*"):
            of_pod.unlink()


def _remove_dead_sockets(folder: Path) -> None:
    for path in folder.glob("*"):
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()


def _sysctl(name: str) -> Path:
    return Path("/proc/sys") / name

"""A program of an unpacked image as Kubernetes would run it: process 1, no rights."""

import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Only /tmp can be written to. The mounts end with their namespace.
_ENTER = """
set -e
root=$1 user=$2
shift 2
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount --rbind /dev "$root/dev"
exec chroot --userspec="$user" "$root" "$@"
"""


@dataclass(frozen=True)
class Container:
    """An image's configuration and the folder that it is unpacked in."""

    config: Mapping[str, Any]
    root: Path

    def command(self, *arguments: str) -> list[str]:
        """Return the command that runs the image's entrypoint with arguments."""
        return self.command_of(*self.config["Entrypoint"], *arguments)

    def command_of(self, *program: str) -> list[str]:
        """Return the command that runs any program in the image's environment, as its user."""
        return [
            *("unshare", "--mount", "--pid", "--fork", "--kill-child"),
            *("sh", "-c", _ENTER, "enter", str(self.root), self.config["User"]),
            *("/usr/bin/env", "-i", "-C", self.config["WorkingDir"], *self.config["Env"]),
            *program,
        ]

    def run(self, *program: str) -> str:
        """Run a program to its end and return what it printed."""
        done = subprocess.run(
            self.command_of(*program), check=False, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def children_of(namespace: subprocess.Popen[str]) -> list[int]:
    """Return this machine's number of process 1 of a container; of none before there is one."""
    children = Path(f"/proc/{namespace.pid}/task/{namespace.pid}/children").read_text()
    return [int(child) for child in children.split()]


def catches(process: int, number: signal.Signals) -> bool:
    """Whether a process, of this machine's number, has a handler for a signal."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines()
    )
    return bool(int(status["SigCgt"], 16) >> (number - 1) & 1)

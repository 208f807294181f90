"""What a machine must have; what is missing is installed where it can be."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from hack.testbed.errors import TestbedError
from hack.testbed.log import logger

__all__ = ["find_go", "install_packages", "require_root", "search_path"]

# Debian package -> a file that tells that it is there (a command, or a path).
_PACKAGES: Final[Mapping[str, str]] = {
    "containerd": "containerd",
    "runc": "runc",
    "containernetworking-plugins": "/usr/lib/cni/ptp",
    "iproute2": "ip",
    "nftables": "nft",
    "iptables": "iptables",
    "etcd-server": "etcd",
    "redis-server": "redis-server",
    "openssl": "openssl",
    "util-linux": "unshare",
    "mount": "umount",
}
# Debian's packages ask this command whether a service may be started; 101 says that it may not.
_POLICY: Final = Path("/usr/sbin/policy-rc.d")
_FORBID_STARTS: Final = "#!/bin/sh\nexit 101\n"
_ADMIN_FOLDERS: Final = "/usr/local/sbin:/usr/sbin:/sbin"
_GO_FOLDERS: Final = ("/usr/local/go/bin", "/usr/lib/go/bin")
_GO_DIRECTIVE: Final = re.compile(r"^go (\d+)\.(\d+)", re.MULTILINE)
_GO_VERSION: Final = re.compile(r"go version go(\d+)\.(\d+)")


def require_root() -> None:
    """Raise TestbedError unless this is root on Linux."""
    if sys.platform != "linux":
        raise TestbedError(
            f"the testbed runs containers natively and needs Linux, this is {sys.platform}: "
            "use a Linux machine, or point WHISPERFLEET_KUBECONFIG at a cluster for the tests"
        )
    if os.geteuid() != 0:
        raise TestbedError(
            "the testbed starts containerd, a kubelet and interfaces and needs root: "
            "run it as root (`sudo make cluster-up`), or point WHISPERFLEET_KUBECONFIG at a "
            "cluster for the tests"
        )


def install_packages() -> None:
    """Install the Debian packages that are missing, without starting their services.

    Raises TestbedError with the command to run where that cannot be done.
    """
    missing = [package for package, proof in _PACKAGES.items() if not _is_there(proof)]
    if not missing:
        return
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    if shutil.which("apt-get") is None:
        needed = ", ".join(f"{package} ({_PACKAGES[package]})" for package in missing)
        raise TestbedError(
            f"these Debian packages are missing: {needed}; this machine has no apt-get: install "
            "what they contain with its own package manager"
        )
    logger.info("installing %s", " ".join(missing))
    _without_services(["apt-get", "update"])
    failed = _without_services(command)
    if failed or not all(_is_there(_PACKAGES[package]) for package in missing):
        raise TestbedError(
            f"Debian packages are missing and were not installed: {' '.join(missing)}; run "
            f"`{' '.join(command)}` and see what it says. {failed}"
        )


def find_go(go_mods: Sequence[Path]) -> Path:
    """Return a Go command that is new enough for these modules; else raise TestbedError."""
    needed = max(_go_directive(path) for path in go_mods)
    found = []
    for folder in [*search_path().split(os.pathsep), *_GO_FOLDERS]:
        candidate = Path(folder) / "go"
        if not candidate.is_file():
            continue
        said = subprocess.run([candidate, "version"], check=False, capture_output=True, text=True)
        version = _GO_VERSION.match(said.stdout)
        if version and (int(version[1]), int(version[2])) >= needed:
            return candidate
        found.append(f"{candidate}: {said.stdout.strip() or said.stderr.strip()}")
    have = f"found only {'; '.join(found)}" if found else "found none on the PATH"
    raise TestbedError(
        f"Go {needed[0]}.{needed[1]} or later is needed to build Kubernetes and KEDA once; {have}. "
        "Install it (https://go.dev/doc/install) and put its bin folder on the PATH"
    )


def search_path() -> str:
    """Return the PATH with the folders of administrators' commands in it."""
    return f"{os.environ.get('PATH', '')}{os.pathsep}{_ADMIN_FOLDERS}"


def _go_directive(go_mod: Path) -> tuple[int, int]:
    directive = _GO_DIRECTIVE.search(go_mod.read_text())
    if directive is None:
        raise TestbedError(f"{go_mod} names no Go version: add a line `go 1.N`")
    return int(directive[1]), int(directive[2])


def _is_there(proof: str) -> bool:
    return shutil.which(proof, path=search_path()) is not None


def _without_services(command: Sequence[str]) -> str:
    """Run apt-get so that no installed service starts; return what it said where it failed."""
    is_ours = not _POLICY.exists()
    if is_ours:
        _POLICY.write_text(_FORBID_STARTS)
        _POLICY.chmod(0o755)
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    finally:
        if is_ours:
            _POLICY.unlink()
    return "" if done.returncode == 0 else done.stdout[-2000:]

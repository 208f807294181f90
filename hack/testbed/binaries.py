"""Kubernetes, KEDA, CoreDNS and helm, built once from the Go module proxy and cached by version."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hack.testbed.errors import TestbedError
from hack.testbed.layout import Layout
from hack.testbed.log import logger
from hack.testbed.prerequisites import find_go

__all__ = ["ADDONS", "KEDA", "KUBERNETES", "Binaries", "Toolset", "build"]

_TOOLS: Final = Path(__file__).parent / "tools"
# A part of the cache's key: count it up when the way of building changes.
_RECIPE: Final = "1"


@dataclass(frozen=True, slots=True)
class Toolset:
    """One of the modules in `tools/`: what is built from it and how it knows its version.

    `stamps` are linker symbols with the version of `module` in them. `files` are files of that
    module to be kept beside the programs.
    """

    name: str
    module: str
    stamps: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where its go.mod lies."""
        return _TOOLS / self.name

    @property
    def version(self) -> str:
        """The version that go.mod requires, without its v."""
        required = re.search(
            rf"^\s*(?:require )?{re.escape(self.module)} v(\S+)",
            (self.folder / "go.mod").read_text(),
            re.MULTILINE,
        )
        if required is None:
            raise TestbedError(f"{self.folder / 'go.mod'} does not require {self.module}: add it")
        return required[1]

    @property
    def digest(self) -> str:
        """What the programs depend on: locked modules, own sources, the way of building."""
        digest = hashlib.sha256(f"{_RECIPE}\n{self.stamps}\n{self.files}\n".encode())
        for path in sorted(self.folder.rglob("*")):
            if path.is_file() and (path.name in {"go.mod", "go.sum"} or path.suffix == ".go"):
                digest.update(f"{path.relative_to(self.folder)}\n".encode() + path.read_bytes())
        return digest.hexdigest()[:12]

    @property
    def linker_flags(self) -> str:
        """What tells the programs their version; they carry no symbols for debuggers."""
        major, minor, _ = self.version.split(".", 2)
        values = {"version": self.version, "major": major, "minor": minor}
        return " ".join(["-s", "-w", *(f"-X {stamp.format(**values)}" for stamp in self.stamps)])


KUBERNETES: Final = Toolset(
    "kubernetes",
    "k8s.io/kubernetes",
    stamps=tuple(
        f"{package}.{symbol}"
        for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
        for symbol in (
            "gitVersion=v{version}",
            "gitMajor={major}",
            "gitMinor={minor}",
            "gitTreeState=archive",
        )
    ),
)
KEDA: Final = Toolset(
    "keda",
    "github.com/kedacore/keda/v2",
    stamps=("github.com/kedacore/keda/v2/version.Version={version}",),
    files=(
        "config/crd/bases/*.yaml",
        "config/rbac/role.yaml",
        "config/rbac/role_binding.yaml",
        "config/metrics-server/role.yaml",
        "config/metrics-server/role_binding.yaml",
    ),
)
ADDONS: Final = Toolset("addons", "github.com/coredns/coredns")


@dataclass(frozen=True, slots=True)
class Binaries:
    """Where the programs of each toolset lie, built or yet to be."""

    cache: Path

    def folder(self, tools: Toolset) -> Path:
        """Return the folder of a toolset's programs; it is whole or not there."""
        return self.cache / f"{tools.name}-{tools.version}-{tools.digest}"

    def kubernetes(self, name: str) -> str:
        """Return the path of a program of Kubernetes, or of our own beside them."""
        return str(self.folder(KUBERNETES) / name)

    def keda(self, name: str) -> str:
        """Return the path of a program of KEDA."""
        return str(self.folder(KEDA) / name)

    def keda_manifests(self, folder: str) -> list[Path]:
        """Return the manifests in a folder of KEDA's module."""
        return sorted((self.folder(KEDA) / folder).glob("*.yaml"))

    def addon(self, name: str) -> str:
        """Return the path of CoreDNS or helm."""
        return str(self.folder(ADDONS) / name)


def build(layout: Layout) -> Binaries:
    """Build what the cache lacks. Raises TestbedError where Go is missing or says no."""
    binaries = Binaries(layout.cache)
    layout.cache.mkdir(parents=True, exist_ok=True)
    # Whoever else wants them waits: to build them twice would take twice as long for both.
    with (layout.cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = (KUBERNETES, KEDA, ADDONS)
        if missing := [tools for tools in wanted if not binaries.folder(tools).is_dir()]:
            go = find_go([tools.folder / "go.mod" for tools in missing])
            for tools in missing:
                _build(go, tools, binaries.folder(tools))
    return binaries


def _build(go: Path, tools: Toolset, target: Path) -> None:
    logger.info("building %s %s into %s; minutes, once", tools.module, tools.version, target.parent)
    began = time.monotonic()
    target.parent.mkdir(parents=True, exist_ok=True)
    # Built aside: the folder of the final name is whole or not there.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as folder:
        made = Path(folder) / "made"
        made.mkdir()
        local = ("./...",) if any(tools.folder.rglob("*.go")) else ()
        _go(
            go,
            tools,
            *("build", "-trimpath", "-mod=readonly", "-buildvcs=false"),
            *("-ldflags", tools.linker_flags, "-o", f"{made}/", "tool", *local),
        )
        if tools.files:
            _copy_files(go, tools, made)
        made.rename(target)
    logger.info("built %s in %.0f s", tools.module, time.monotonic() - began)


def _copy_files(go: Path, tools: Toolset, target: Path) -> None:
    module = Path(_go(go, tools, "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", tools.module))
    for pattern in tools.files:
        found = list(module.glob(pattern))
        if not found:
            raise TestbedError(
                f"{tools.module} {tools.version} has no {pattern}: see what its folder {module} "
                f"holds now and change the list in {__file__}"
            )
        for path in found:
            copy = target / path.relative_to(module)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


def _go(go: Path, tools: Toolset, *arguments: str) -> str:
    done = subprocess.run(
        ["nice", str(go), *arguments],
        cwd=tools.folder,
        env={**os.environ, "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": ""},
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise TestbedError(
            f"`go {arguments[0]}` failed in {tools.folder}; modules come from GOPROXY "
            f"(`go env GOPROXY`), is it to be had? It said: {done.stderr[-3000:].strip()}"
        )
    return done.stdout.strip()

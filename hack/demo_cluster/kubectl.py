"""The cluster's API server, asked through kubectl as a person would."""

import json
import shlex
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hack.demo_cluster.errors import DemoError

__all__ = ["Kubectl", "Manifest", "read_manifests"]

Manifest = dict[str, Any]

_ANSWER_SECONDS = 180.0


def read_manifests(file: Path) -> list[Manifest]:
    """Return the objects of a YAML file."""
    return [document for document in yaml.safe_load_all(file.read_text("utf-8")) if document]


@dataclass(frozen=True, slots=True)
class Kubectl:
    """`command` is the binary, `kubeconfig` says which cluster and as whom."""

    command: Path
    kubeconfig: Path

    def told(self, *arguments: str) -> str:
        """Return what a person would type."""
        return f"KUBECONFIG={self.kubeconfig} {self.command} {shlex.join(arguments)}"

    def run(self, *arguments: str, stdin: str = "") -> str:
        """Return what kubectl writes. Raises DemoError with what it says instead."""
        try:
            done = subprocess.run(
                [str(self.command), "--kubeconfig", str(self.kubeconfig), *arguments],
                input=stdin,
                capture_output=True,
                text=True,
                timeout=_ANSWER_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            said = f"no answer for {_ANSWER_SECONDS:g} s"
        else:
            if done.returncode == 0:
                return done.stdout
            said = done.stderr.strip()
        raise DemoError(
            f"`kubectl {shlex.join(arguments)}` failed: {said}; `python -m hack.testbed status` "
            "tells how the parts of the cluster do"
        )

    def show(self, *arguments: str) -> str:
        """Return what kubectl writes, or what it says instead: for a person."""
        try:
            return self.run(*arguments)
        except DemoError as error:
            return f"{error}\n"

    def apply(self, manifests: Iterable[Manifest], namespace: str | None = None) -> None:
        """Apply objects; `namespace` is for those that name none."""
        self.run(
            *(("-n", namespace) if namespace else ()),
            *("apply", "--server-side", "--force-conflicts", "-f", "-"),
            stdin=yaml.safe_dump_all(manifests),
        )

    def exists(self, manifest: Manifest) -> bool:
        """Whether there is an object of this kind and name."""
        return bool(self.run("get", *_address(manifest), "--ignore-not-found", "-o", "name"))

    def delete(self, manifest: Manifest) -> None:
        """Delete an object and wait until it and what it made are gone.

        One that is not there is none to wait for.
        """
        how = ("--ignore-not-found", "--cascade=foreground", "--timeout=120s")
        self.run("delete", *_address(manifest), *how)

    def items(self, kind: str, namespace: str, labels: str = "") -> list[Manifest]:
        """Return the objects of a kind with these labels."""
        found = self.run("-n", namespace, "get", kind, "-l", labels, "-o", "json")
        items: list[Manifest] = json.loads(found)["items"]
        return items


def _address(manifest: Manifest) -> list[str]:
    """Return what tells kubectl an object: its kind with its group, its name, its namespace."""
    group, _, version = manifest["apiVersion"].rpartition("/")
    kind = f"{manifest['kind']}.{version}.{group}" if group else manifest["kind"]
    metadata = manifest["metadata"]
    return [kind, metadata["name"], "-n", metadata.get("namespace", "default")]

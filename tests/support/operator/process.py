"""The operator as a process of this machine, with the rights of its real service account."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from support.cluster.kube import Kube, until

MANIFESTS: Final = Path(__file__).parents[3] / "operator/manifests"
SYSTEM: Final = "whisperfleet-system"
ACCOUNT: Final = "whisperfleet-operator"
USER: Final = f"system:serviceaccount:{SYSTEM}:{ACCOUNT}"

# Starting Python, its imports and kopf's first lists, on a machine that others keep busy too.
_START_SECONDS: Final = 90.0


@dataclass
class Operator:
    """An operator that can be started, stopped and killed; its log goes on in one file."""

    kubeconfig: Path
    log: Path
    arguments: tuple[str, ...]
    program: tuple[str, ...] = ("-m", "whisperfleet_operator", "--http-port=0")
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)
    _log_began: int = field(default=0, repr=False)

    def start(self, *, wait: bool = True) -> None:
        """Start it, and return once it watches the cluster."""
        self._log_began = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.program, *self.arguments],
                env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
                stdout=log,
                stderr=log,
            )
        if wait:
            self.wait_until_ready()

    def wait_until_ready(self) -> None:
        until(self.is_ready, f"the operator is ready; see {self.log}", _START_SECONDS)

    def stop(self) -> None:
        """End it as Kubernetes does; it has to obey."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(timeout=60) == 0
            self.process = None

    def kill(self) -> None:
        """End it without a chance to do anything about it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=10)
            self.process = None

    def is_ready(self) -> bool:
        return self.ask("/readyz") == "ok"

    def ask(self, path: str) -> str:
        """Return what it answers over HTTP; empty where it does not."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return str(answer.read().decode()).strip()
        except (OSError, LookupError):
            return ""

    @property
    def port(self) -> int:
        """Raises LookupError before it has told."""
        for line in self.lines():
            if "http_port" in line:
                return int(line["http_port"])
        raise LookupError("no port in the log yet")

    def lines(self) -> list[dict[str, Any]]:
        """Return what it has logged since its last start."""
        with self.log.open("rb") as log:
            log.seek(self._log_began)
            text = log.read().decode()
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def reconciles(self) -> int:
        """Return how often it has reconciled a service."""
        text = self.ask("/metrics")
        prefix = "whisperfleet_operator_reconciles_total{"
        return int(
            sum(
                float(line.rpartition(" ")[2])
                for line in text.splitlines()
                if line.startswith(prefix)
            )
        )

    def wait_for_reconciles(self, more: int, seconds: float = 60) -> None:
        """Return once it has reconciled so many times more."""
        wanted = self.reconciles() + more
        until(lambda: self.reconciles() >= wanted, f"{more} more reconciles", seconds)

    def resident_megabytes(self) -> float:
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024


@contextmanager
def running_operator(
    kubeconfig: Path, folder: Path, *arguments: str, wait: bool = True
) -> Iterator[Operator]:
    """A running operator, killed in the end whatever became of it."""
    operator = Operator(kubeconfig, folder / "operator.log", arguments)
    try:
        operator.start(wait=wait)
        yield operator
    finally:
        operator.kill()


def account_kubeconfig(kube: Kube, folder: Path) -> Path:
    """Return a kubeconfig of the operator's service account, which is made if need be."""
    documents = list(yaml.safe_load_all((MANIFESTS / "rbac.yaml").read_text()))
    # Which namespaces it may touch is for each test to say.
    kept = [document for document in documents if document["kind"] != "ClusterRoleBinding"]
    file = folder / "rbac.yaml"
    file.write_text(yaml.safe_dump_all(kept))
    kube.run("apply", "--server-side", "-f", str(file))
    token = kube.run("-n", SYSTEM, "create", "token", ACCOUNT, "--duration=12h").strip()
    config = yaml.safe_load(kube.kubeconfig.read_text())
    config["users"] = [{"name": config["users"][0]["name"], "user": {"token": token}}]
    kubeconfig = folder / "operator.kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    kubeconfig.chmod(0o600)
    return kubeconfig


@contextmanager
def let_in_everywhere(kube: Kube, folder: Path) -> Iterator[None]:
    """Give the operator its rights in every namespace, as they are installed, for a while."""
    documents = yaml.safe_load_all((MANIFESTS / "rbac.yaml").read_text())
    (binding,) = (each for each in documents if each["kind"] == "ClusterRoleBinding")
    file = folder / "binding.yaml"
    file.write_text(yaml.safe_dump(binding))
    kube.run("apply", "--server-side", "-f", str(file))
    try:
        yield
    finally:
        kube.run("delete", "-f", str(file))


def let_in(kube: Kube, namespace: str) -> None:
    """Give the operator its rights in one namespace."""
    kube.run(
        *("-n", namespace, "create", "rolebinding", ACCOUNT),
        *(f"--clusterrole={ACCOUNT}", f"--serviceaccount={SYSTEM}:{ACCOUNT}"),
    )

"""`make dev`: the operator on this machine takes care of services in a cluster."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from support.cluster.fleet import own_namespace
from support.cluster.kube import Kube, until
from support.examples.files import EXAMPLES

pytestmark = pytest.mark.cluster

_READY_SECONDS = 60


@pytest.fixture
def namespace(kube: Kube) -> Iterator[str]:
    with own_namespace(kube, f"test-{uuid4().hex[:8]}") as name:
        yield name


@pytest.fixture
def operator(kube: Kube, namespace: str, tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """`make dev` for one namespace."""
    log = tmp_path / "log"
    # The environment is what runs this test: it need not be made anew.
    make = ["make", "--assume-old=.venv/.installed", "dev", f"KUBECTL={kube.kubectl}"]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*make, f"DEV=--namespaces={namespace}"],
            cwd=EXAMPLES.parent,
            env={**os.environ, "KUBECONFIG": str(kube.kubeconfig)},
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        print(log.read_text())


def test_it_looks_at_a_service_and_ends_when_it_is_told_to(
    operator: "subprocess.Popen[bytes]", kube: Kube, namespace: str
):
    def ready() -> str:
        assert operator.poll() is None
        path = '{.status.conditions[?(@.type=="Ready")].reason}'
        return kube.show("-n", namespace, "get", "tsvc", "calls", "-o", f"jsonpath={path}")

    until(lambda: "Established" in _definition(kube), "the resource is known", _READY_SECONDS)
    kube.run("-n", namespace, "apply", "-f", str(EXAMPLES / "cpu/service.yaml"))
    # There is no Redis in the namespace.
    until(lambda: ready() == "QueueUnreachable", "the operator has looked", _READY_SECONDS)
    # As a terminal does for Ctrl-C.
    os.killpg(operator.pid, signal.SIGINT)
    operator.wait(timeout=30)


def _definition(kube: Kube) -> str:
    name = "crd/transcriptionservices.whisperfleet.io"
    path = "{.status.conditions[?(@.status=='True')].type}"
    return kube.show("get", name, "-o", f"jsonpath={path}")

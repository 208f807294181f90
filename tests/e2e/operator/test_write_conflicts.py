"""Others who write: a webhook that changes what the operator writes, another release."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.testbed import Testbed
from support.cluster.kube import Kube, until
from support.operator.audit import AuditLog
from support.operator.process import Operator, running_operator
from support.operator.services import Service, manifest
from support.operator.webhook import MIRROR, mirroring
from whisperfleet.demo.server import EmbeddedServer

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900, func_only=True)]

# Ten seconds apart: what goes on for ever shows in each of them.
RECONCILES = 3
LEASE = "whisperfleet-operator"


@pytest.fixture
def redis_server(testbed: Testbed) -> Iterator[EmbeddedServer]:  # noqa: ARG001 - KEDA is here too
    """A Redis of this machine: no pod ever asks it."""
    with EmbeddedServer(append_only=True) as server:
        yield server


def test_what_a_webhook_changed_is_written_again_once_it_is_gone(
    kube: Kube, namespace: str, redis_server: EmbeddedServer, operator: Operator, tmp_path: Path
):
    service = Service(kube, namespace)
    with mirroring(kube, namespace, tmp_path):
        kube.create(
            manifest(service.name, namespace, "example/worker:1", redis_server.url), namespace
        )
        message = service.wait_for("Degraded", "ChangedByAnother", "False")["message"]
        assert "spec.template.spec.containers[worker].image" in message
        until(lambda: "ChangedByAnother" in service.events(), "an Event says so")
        service.wait_for("Ready", "Idle", "True")
        assert _image(service) == MIRROR
    operator.wait_for_reconciles(2)
    assert _image(service) == MIRROR
    # The remedy, word for word.
    command = message.partition("such as kubectl ")[2].split()
    kube.run(*command)
    until(lambda: _image(service) == "example/worker:1", "it is written again")
    service.wait_for("Degraded", "AsExpected", "False")


def test_two_releases_over_one_namespace(
    kube: Kube,
    namespace: str,
    account: Path,
    redis_server: EmbeddedServer,
    audit: AuditLog,
    tmp_path: Path,
    report_figure,
):
    """And a third one, which was uninstalled and left its Lease."""
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": LEASE},
        "spec": {"holderIdentity": "gone/operator"},
    }
    kube.create(lease, namespace)
    service = Service(kube, namespace)
    options = (f"--namespaces={namespace}",)
    with (
        running_operator(account, folders[0], *options, "--release=one/operator") as one,
        running_operator(
            account, folders[1], *options, "--release=other/operator", "--cluster-id=elsewhere"
        ) as other,
    ):
        wanted = manifest(service.name, namespace, "example/worker:1", redis_server.url)
        kube.create(wanted, namespace)
        service.wait_for("Ready", "Idle", "True", 150)
        until(lambda: "AnotherOperator" in service.events(), "the second one says so", 90)
        assert "QueueOwnedByAnother" not in service.events()
        holder = service.get("lease", LEASE)["spec"]["holderIdentity"]
        first, second = (one, other) if holder == "one/operator" else (other, one)

        began = time.monotonic()
        again = audit.from_now()
        first.wait_for_reconciles(RECONCILES, 180)
        seconds = time.monotonic() - began
        writes = len(again.writes())
        assert writes * 60 / seconds < 10
        told = [line for line in second.lines() if "is left to the release" in line["message"]]
        assert len(told) == 1
        report_figure(
            f"two releases over one namespace: {writes} writes in {seconds:.0f} s once settled"
        )


def _image(service: Service) -> str:
    pod = service.child("deployment")["spec"]["template"]["spec"]
    image: str = pod["containers"][0]["image"]
    return image

"""Others who write: a webhook that changes what the operator writes, another release."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cluster.kube import Kube, until
from hack.testbed import Testbed
from operating.audit import AuditLog
from operating.process import Operator, running_operator
from operating.services import Service, manifest
from operating.webhook import MIRROR, mirroring
from whisperfleet.demo.server import EmbeddedServer

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900, func_only=True)]

SERVICES = 100
# Some of each service, ten seconds apart: what goes on for ever shows in each of them.
LOOKS = 3


@pytest.fixture
def redis_server(testbed: Testbed) -> Iterator[EmbeddedServer]:  # noqa: ARG001 - KEDA is here too
    """A Redis of this machine: no pod ever asks it."""
    with EmbeddedServer(append_only=True) as server:
        yield server


@pytest.fixture
def webhook(kube: Kube, namespace: str, tmp_path: Path) -> Iterator[None]:
    folder = tmp_path / "webhook"
    folder.mkdir()
    with mirroring(kube, namespace, folder):
        yield


@pytest.mark.alone
@pytest.mark.usefixtures("webhook")
def test_a_hundred_services_beside_a_webhook_cause_no_write(
    kube: Kube,
    namespace: str,
    redis_server: EmbeddedServer,
    operator: Operator,
    audit: AuditLog,
    report_figure,
):
    services = [
        manifest(f"s{number:03}", namespace, "example/worker:1", redis_server.url)
        for number in range(SERVICES)
    ]
    with ThreadPoolExecutor(10) as threads:
        list(threads.map(kube.create, services, [namespace] * SERVICES))
    until(lambda: _told(kube, namespace) == SERVICES, "all are told of what is changed", 300)
    until(lambda: _writes(operator, audit, SERVICES) == 0, "all has settled", 300)

    began = time.monotonic()
    again = audit.from_now()
    operator.wait_for_looks(LOOKS * SERVICES, 300)
    seconds = time.monotonic() - began
    assert again.writes() == []
    report_figure(
        f"{SERVICES} services beside a webhook that changes Deployments: 0 writes in "
        f"{LOOKS * SERVICES} looks and {seconds:.0f} s"
    )


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
        assert "ChangedByAnother" in service.events()
        service.wait_for("Ready", "Idle", "True")
        assert _image(service) == MIRROR
    operator.wait_for_looks(2)
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
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
    service = Service(kube, namespace)
    options = (f"--namespaces={namespace}",)
    with (
        running_operator(account, folders[0], *options, "--release=one/operator") as one,
        running_operator(
            account, folders[1], *options, "--release=other/operator", "--cluster-id=elsewhere"
        ) as other,
    ):
        kube.create(
            manifest(service.name, namespace, "example/worker:1", redis_server.url), namespace
        )
        until(lambda: "AnotherOperator" in service.events(), "the second one says so", 90)
        service.wait_for("Ready", "Idle", "True")
        assert "QueueOwnedByAnother" not in service.events()
        holder = service.get("lease", "whisperfleet-operator")["spec"]["holderIdentity"]
        first, second = (one, other) if holder == "one/operator" else (other, one)
        first.wait_for_looks(2)

        began = time.monotonic()
        again = audit.from_now()
        first.wait_for_looks(LOOKS, 180)
        seconds = time.monotonic() - began
        writes = len(again.writes())
        assert writes * 60 / seconds < 10
        told = [line for line in second.lines() if "is left to the release" in line["message"]]
        assert len(told) == 1
        report_figure(
            f"two releases over one namespace: {writes} writes in {seconds:.0f} s once settled"
        )

        # The one that looked after it goes, and another release comes, as one that was renamed.
        first.stop()
        second.stop()
    service.patch({"spec": {"pools": [{"name": "main", "replicas": {"max": 7}}]}})
    options = (*options, "--release=third/operator")
    options += ("--cluster-id=elsewhere",) if first is other else ()
    with running_operator(account, tmp_path, *options):
        until(
            lambda: service.child("scaledobject")["spec"]["maxReplicaCount"] == 7,
            "it takes over where nobody answers",
            150,
        )


def _image(service: Service) -> str:
    pod = service.child("deployment")["spec"]["template"]["spec"]
    image: str = pod["containers"][0]["image"]
    return image


def _told(kube: Kube, namespace: str) -> int:
    """Return how many services say that others change what belongs to them."""
    text = kube.run("-n", namespace, "get", "transcriptionservices.whisperfleet.io", "-o", "json")
    return sum(
        condition["reason"] == "ChangedByAnother"
        for item in json.loads(text)["items"]
        for condition in item.get("status", {}).get("conditions", ())
    )


def _writes(operator: Operator, audit: AuditLog, services: int) -> int:
    later = audit.from_now()
    operator.wait_for_looks(services, 120)
    return len(later.writes())

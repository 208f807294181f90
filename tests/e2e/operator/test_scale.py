"""A hundred services, and two thousand objects that are nobody's business."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.cluster.kube import Json, Kube, until
from support.operator.audit import AuditLog
from support.operator.process import Operator
from support.operator.services import manifest
from support.operator.webhook import mirroring
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet_operator.resource.names import MANAGED_BY_LABEL, OPERATOR

pytestmark = [pytest.mark.cluster, pytest.mark.alone, pytest.mark.timeout(600, func_only=True)]

SERVICES = 100
STRANGERS = 2000
BATCH = 250
FIRST = "first"
THEIRS = {"app": "stranger"}
MOST_SECONDS = 60
MOST_MEGABYTES = 150
MOST_MEGABYTES_FOR_STRANGERS = 5


@pytest.fixture
def redis_server() -> Iterator[EmbeddedServer]:
    """A Redis of this machine: no pod ever asks it."""
    with EmbeddedServer(append_only=True) as server:
        yield server


def test_a_hundred_services_at_once(
    kube: Kube,
    # Before the namespace, so that it is there still when KEDA lets go of what is in it.
    redis_server: EmbeddedServer,
    namespace: str,
    operator: Operator,
    audit: AuditLog,
    tmp_path: Path,
    report_figure,
):
    kube.create(manifest(FIRST, namespace, "example/worker:1", redis_server.url), namespace)
    empty = _megabytes_in_use(operator)
    _create(kube, tmp_path, [*_pods(namespace), *_deployments(namespace)])
    beside_strangers = _megabytes_in_use(operator)
    # One that finds them there, and so has to list them.
    operator.stop()
    operator.start()
    among_strangers = _megabytes_in_use(operator)

    services = [
        manifest(f"s{number:03}", namespace, "example/worker:1", redis_server.url)
        for number in range(SERVICES)
    ]
    began = time.monotonic()
    with ThreadPoolExecutor(10) as threads:
        list(threads.map(kube.create, services, [namespace] * SERVICES))
    applied = time.monotonic() - began
    until(lambda: _reconciled(kube, namespace) == SERVICES + 1, "all are reconciled", MOST_SECONDS)
    seconds = time.monotonic() - began
    operator.wait_for_reconciles(2 * SERVICES, 120)
    megabytes = operator.resident_megabytes()

    report_figure(
        f"{SERVICES} services applied in {applied:.1f} s, reconciled {seconds:.1f} s after the "
        f"first; operator {empty:.0f} MB empty, {beside_strangers - empty:+.1f} MB by {STRANGERS} "
        f"foreign pods and Deployments, {among_strangers - empty:+.1f} MB where it started among "
        f"them, {megabytes:.0f} MB with {SERVICES} services"
    )
    assert seconds < MOST_SECONDS
    assert megabytes < MOST_MEGABYTES
    assert beside_strangers - empty < MOST_MEGABYTES_FOR_STRANGERS
    assert among_strangers - empty < MOST_MEGABYTES_FOR_STRANGERS
    with mirroring(kube, namespace, tmp_path):
        report_figure(_beside_a_webhook(kube, namespace, operator, audit))


def _beside_a_webhook(kube: Kube, namespace: str, operator: Operator, audit: AuditLog) -> str:
    """Say how much is written of Deployments that others make something else of."""
    ours = ("-l", f"{MANAGED_BY_LABEL}={OPERATOR}")
    kube.run("-n", namespace, "annotate", "deployments", *ours, "example.org/touched=yes")

    def writes_in(reconciles: int) -> list[str]:
        later = audit.from_now()
        operator.wait_for_reconciles(reconciles * SERVICES, 180)
        return later.writes()

    until(lambda: writes_in(1) == [], "all has settled", 120)
    assert _told(kube, namespace) == SERVICES + 1
    began = time.monotonic()
    assert writes_in(2) == []
    return (
        f"{SERVICES} services beside a webhook that changes Deployments: 0 writes in "
        f"{2 * SERVICES} reconciles and {time.monotonic() - began:.0f} s"
    )


def _told(kube: Kube, namespace: str) -> int:
    """Return how many services say that others change what belongs to them."""
    text = kube.run("-n", namespace, "get", "transcriptionservices.whisperfleet.io", "-o", "json")
    return sum(
        condition["reason"] == "ChangedByAnother"
        for item in json.loads(text)["items"]
        for condition in item.get("status", {}).get("conditions", ())
    )


def _megabytes_in_use(operator: Operator) -> float:
    """Return what it holds once it has reconciled its one service again."""
    operator.wait_for_reconciles(2)
    return operator.resident_megabytes()


def _pods(namespace: str) -> list[Json]:
    """Return pods as others have them, of a scheduler that nobody runs."""
    container = {
        "name": "main",
        "image": "example/stranger:1",
        "env": [{"name": f"SETTING_{number}", "value": "of a stranger"} for number in range(20)],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    spec = {
        "schedulerName": "nobody",
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"stranger-{number}", "namespace": namespace, "labels": THEIRS},
            "spec": spec,
        }
        for number in range(STRANGERS // 2)
    ]


def _deployments(namespace: str) -> list[Json]:
    container = {"name": "main", "image": "example/stranger:1"}
    template = {"metadata": {"labels": THEIRS}, "spec": {"containers": [container]}}
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": f"stranger-{number}", "namespace": namespace, "labels": THEIRS},
            "spec": {
                "replicas": 0,
                "paused": True,
                "selector": {"matchLabels": THEIRS},
                "template": template,
            },
        }
        for number in range(STRANGERS // 2)
    ]


def _create(kube: Kube, folder: Path, objects: list[Json]) -> None:
    file = folder / "objects.json"
    # As many as one call of kubectl gets done in its time.
    for first in range(0, len(objects), BATCH):
        batch = objects[first : first + BATCH]
        file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": batch}))
        kube.run("create", "-f", str(file))


def _reconciled(kube: Kube, namespace: str) -> int:
    """Return how many services have a status of their own and every child."""
    reconciled = _names(kube, namespace, "transcriptionservices.whisperfleet.io", reconciled=True)
    complete = [
        {name.removesuffix("-main") for name in _names(kube, namespace, resource)}
        for resource in (
            "deployments.apps",
            "scaledobjects.keda.sh",
            "poddisruptionbudgets.policy",
            "networkpolicies.networking.k8s.io",
        )
    ]
    return len(reconciled.intersection(*complete))


def _names(kube: Kube, namespace: str, resource: str, *, reconciled: bool = False) -> set[str]:
    items = json.loads(kube.run("-n", namespace, "get", resource, "-o", "json"))["items"]
    return {
        item["metadata"]["name"]
        for item in items
        if not reconciled or item.get("status", {}).get("conditions")
    }

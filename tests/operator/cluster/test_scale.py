"""A hundred services, and two thousand objects that are nobody's business."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cluster.kube import Kube, until
from operating.process import Operator
from operating.services import manifest
from whisperfleet.demo.server import EmbeddedServer

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400, func_only=True)]

SERVICES = 100
STRANGERS = 2000
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
    namespace: str,
    redis_server: EmbeddedServer,
    operator: Operator,
    tmp_path: Path,
    report_figure,
):
    empty = operator.resident_megabytes()
    _create(kube, tmp_path, [_stranger(namespace, number) for number in range(STRANGERS)])
    with_strangers = operator.resident_megabytes()

    services = [
        manifest(f"s{number:03}", namespace, "example/worker:1", redis_server.url)
        for number in range(SERVICES)
    ]
    began = time.monotonic()
    with ThreadPoolExecutor(10) as threads:
        list(threads.map(kube.create, services, [namespace] * SERVICES))
    applied = time.monotonic() - began
    until(lambda: _reconciled(kube, namespace) == SERVICES, "all are reconciled", MOST_SECONDS)
    seconds = time.monotonic() - began
    operator.wait_for_looks(2 * SERVICES, 120)
    megabytes = operator.resident_megabytes()

    report_figure(
        f"{SERVICES} services applied in {applied:.1f} s, reconciled {seconds:.1f} s after the "
        f"first; operator {empty:.0f} MB empty, {with_strangers - empty:+.1f} MB by {STRANGERS} "
        f"foreign objects, {megabytes:.0f} MB with {SERVICES} services"
    )
    assert seconds < MOST_SECONDS
    assert megabytes < MOST_MEGABYTES
    assert with_strangers - empty < MOST_MEGABYTES_FOR_STRANGERS


def _stranger(namespace: str, number: int) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": f"stranger-{number}", "namespace": namespace},
    }


def _create(kube: Kube, folder: Path, objects: list[dict]) -> None:
    file = folder / "objects.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    kube.run("create", "-f", str(file))


def _reconciled(kube: Kube, namespace: str) -> int:
    """Return how many services have a status of their own and every child."""
    judged = _names(kube, namespace, "transcriptionservices.whisperfleet.io", judged=True)
    complete = [
        {name.removesuffix("-main") for name in _names(kube, namespace, resource)}
        for resource in (
            "deployments.apps",
            "scaledobjects.keda.sh",
            "poddisruptionbudgets.policy",
            "networkpolicies.networking.k8s.io",
        )
    ]
    return len(judged.intersection(*complete))


def _names(kube: Kube, namespace: str, resource: str, *, judged: bool = False) -> set[str]:
    items = json.loads(kube.run("-n", namespace, "get", resource, "-o", "json"))["items"]
    return {
        item["metadata"]["name"]
        for item in items
        if not judged or item.get("status", {}).get("conditions")
    }

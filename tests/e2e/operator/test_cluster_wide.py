"""One operator for every namespace, also for those that are made after it has started."""

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hack.testbed import Testbed
from support.cluster.fleet import own_namespace
from support.cluster.kube import Json, Kube, until
from support.operator.audit import AuditLog
from support.operator.process import let_in_everywhere, running_operator
from support.operator.rights import denied, granted, live_an_eventful_life, used
from support.operator.services import SERVICE, Service, manifest
from whisperfleet.demo.server import EmbeddedServer

pytestmark = [pytest.mark.cluster, pytest.mark.alone, pytest.mark.timeout(300, func_only=True)]


@pytest.fixture
def redis_server(testbed: Testbed) -> Iterator[EmbeddedServer]:  # noqa: ARG001 - KEDA is here too
    """A Redis of this machine, where the operator and KEDA run; no pod ever asks it."""
    with EmbeddedServer(append_only=True) as server:
        yield server


def test_a_service_in_any_namespace(
    kube: Kube, testbed: Testbed, account: Path, redis_server: EmbeddedServer, tmp_path: Path
):
    with ExitStack() as left:

        def service_in_a_new_namespace() -> Service:
            name = left.enter_context(own_namespace(kube, f"test-{uuid.uuid4().hex[:8]}"))
            kube.create(manifest(SERVICE, name, "example/worker:1", redis_server.url), name)
            return Service(kube, name)

        left.enter_context(let_in_everywhere(kube, tmp_path))
        services = [service_in_a_new_namespace()]
        audit = AuditLog.begin(testbed.audit_log, None).of(account)
        operator = left.enter_context(running_operator(account, tmp_path))
        services.append(service_in_a_new_namespace())
        for service in services:
            service.wait_for("Ready", "Idle", "True")
        live_an_eventful_life(services[-1], redis_server.url)
        for service in services:
            service.delete()
        for service in services:
            until(lambda asked=service: not asked.children(), "its children are gone", 60)
        operator.stop()
        seen = audit.by_operator()
    assert denied(seen) == []
    assert used(seen) == granted()
    # It asks for all namespaces at once, which only rights in all of them allow.
    assert any(_is_of_all_namespaces(entry) for entry in seen)


def _is_of_all_namespaces(entry: Json) -> bool:
    about = entry.get("objectRef", {})
    return about.get("resource") == "pods" and "namespace" not in about

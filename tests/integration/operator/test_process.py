"""Reconciles on threads, health, events from kopf, and what is known of KEDA."""

import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import kopf
import pytest
from typer.testing import CliRunner

from support.operator.fake_kube import FakeKube
from support.operator.reconciling import KEY
from support.operator.services import manifest
from support.operator.world import NAMESPACE, service_object, waiting_pod
from support.servers import wait_for
from whisperfleet.backoff import Backoff
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.errors import ConfigurationError
from whisperfleet.health import HealthServer
from whisperfleet_operator.cache import ObjectCache
from whisperfleet_operator.event_sink import EventSink
from whisperfleet_operator.kube import UnavailableError
from whisperfleet_operator.kube.kinds import CHILD_KINDS, POD, SERVICE
from whisperfleet_operator.memory import ServiceMemories
from whisperfleet_operator.observe import KedaWatch
from whisperfleet_operator.plan import PolicyPorts
from whisperfleet_operator.process import reconcile_services
from whisperfleet_operator.queues import QueueProbe
from whisperfleet_operator.reconcile import Reconciler
from whisperfleet_operator.resource.names import SERVICE_LABEL, children_selector
from whisperfleet_operator.work_queue import WorkQueue


class Reconciling:
    """Reconciles services as a test says."""

    def __init__(self, reconcile: Callable[[tuple[str, str]], float | None]) -> None:
        self.reconcile = reconcile


def reconciling(reconcile: Callable[[Any], float | None], queue: WorkQueue) -> Any:
    return reconcile_services(queue, Reconciling(reconcile), workers=4)


def test_a_reconcile_that_fails_is_repeated_and_disturbs_nobody():
    queue = WorkQueue(Backoff(0.01, 0.05))
    reconciles: list[str] = []

    def reconcile(key: tuple[str, str]) -> float | None:
        reconciles.append(key[1])
        if key[1] == "unavailable":
            raise UnavailableError("get", "x", "no answer")
        if key[1] == "broken" and reconciles.count("broken") < 3:
            raise RuntimeError("a bug")
        return None

    with reconciling(reconcile, queue):
        for name in ("unavailable", "broken", "healthy"):
            queue.add((NAMESPACE, name))
        wait_for(lambda: reconciles.count("unavailable") > 3, "it is tried again and again")
        wait_for(lambda: reconciles.count("broken") == 3, "it is tried until it is well")
    assert reconciles.count("healthy") == 1


@pytest.fixture
def silent_servers() -> Iterator[list[str]]:
    """Thirty servers that take connections and never answer."""
    with ExitStack() as left:
        sockets = [left.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(30)]
        yield [f"redis://127.0.0.1:{each.getsockname()[1]}/0" for each in sockets]


def test_thirty_dead_redis_do_not_hold_up_a_healthy_one(
    fake: FakeKube, any_server: EmbeddedServer, silent_servers: list[str], tmp_path: Path
):
    """Each dead one would hold a worker for 5.5 s: the healthy one would wait 40 s for its turn."""
    cache = ObjectCache(SERVICE_LABEL)
    reconciler = Reconciler(
        fake,
        cache,
        QueueProbe(tmp_path),
        KedaWatch(fake),
        ServiceMemories(),
        cluster_id=f"{time.time()}",
        release="test/whisperfleet",
        ports=PolicyPorts(),
    )
    queue = WorkQueue()
    for number, url in enumerate(silent_servers):
        fake.create(manifest(f"dead-{number}", NAMESPACE, "example/worker:1", url), "kubectl")
    healthy = manifest("healthy", NAMESPACE, "example/worker:1", any_server.url)
    healthy["spec"]["queue"]["id"] = f"test.{time.time_ns()}"
    fake.create(healthy, "kubectl")

    def carried_out() -> bool:
        service = fake.get(SERVICE, NAMESPACE, "healthy")
        status = service.get("status", {})
        return status.get("observedGeneration") == service["metadata"]["generation"]

    def limit_pods(most: int, service: dict[str, Any]) -> None:
        service["spec"]["pools"][0]["replicas"]["max"] = most

    def reachable() -> bool:
        status = fake.get(SERVICE, NAMESPACE, "healthy").get("status", {})
        return any(
            each["type"] == "QueueReachable" and each["status"] == "True"
            for each in status.get("conditions", ())
        )

    with reconcile_services(queue, reconciler, workers=4):
        for number in range(len(silent_servers)):
            queue.add((NAMESPACE, f"dead-{number}"))
        queue.add((NAMESPACE, "healthy"))
        wait_for(reachable, "the healthy one is reached", 20)
        for most in (4, 5, 6):
            fake.edit(SERVICE, NAMESPACE, "healthy", partial(limit_pods, most))
            cache.saw(fake.get(SERVICE, NAMESPACE, "healthy"))
            queue.add((NAMESPACE, "healthy"))
            wait_for(carried_out, "a change of the healthy one is carried out", 20)


def test_events_are_remembered_and_name_the_service_to_reconcile():
    queue = WorkQueue()
    cache = ObjectCache(SERVICE_LABEL)
    event_sink = EventSink(cache, queue, ())
    seen = service_object()
    event_sink.service({"type": None, "object": seen})
    assert queue.take(0) == KEY
    queue.done(KEY)
    assert cache.get(SERVICE, *KEY) == seen

    pod = waiting_pod()
    pod["metadata"] |= {"labels": {SERVICE_LABEL: "calls"}, "uid": "1", "resourceVersion": "1"}
    for change, expected in (("ADDED", True), ("DELETED", False)):
        event_sink.child({"type": change, "object": pod})
        assert queue.take(0) == KEY
        queue.done(KEY)
        assert (cache.get(POD, NAMESPACE, pod["metadata"]["name"]) is not None) is expected


def test_kopf_sees_no_more_than_it_must_and_writes_nothing():
    settings = kopf.OperatorSettings()
    EventSink(ObjectCache(SERVICE_LABEL), WorkQueue(), (*CHILD_KINDS, POD)).configure(settings)
    assert settings.scanning.disabled
    assert not settings.posting.enabled
    selectors = settings.watching.label_selectors
    assert {selectors[kind.plural] for kind in (*CHILD_KINDS, POD)} == {children_selector()}
    assert SERVICE.plural not in selectors


def test_health_says_what_is_the_matter_and_metrics_are_served():
    problems: list[str] = []
    checks = {"/livez": lambda: problems[0] if problems else None}
    with HealthServer("127.0.0.1", 0, checks) as server:

        def ask(path: str) -> str:
            address = f"http://127.0.0.1:{server.port}{path}"
            with urllib.request.urlopen(address, timeout=10) as answer:
                return answer.read().decode()

        assert ask("/livez") == "ok\n"
        assert "whisperfleet_operator_reconciles" in ask("/metrics")
        problems.append("the reconcile of a/b has taken 200 s")
        with pytest.raises(urllib.error.HTTPError) as caught:
            ask("/livez")
        assert caught.value.code == 503
        assert caught.value.read() == b"the reconcile of a/b has taken 200 s\n"
        caught.value.close()
        with pytest.raises(ConfigurationError, match="--http-port"):
            HealthServer("127.0.0.1", server.port, checks)


def test_an_api_server_that_hangs_is_asked_about_keda_once_for_all():
    clock = [0.0]
    calls = []

    class Hanging(FakeKube):
        def read(self, path: str) -> Any:
            calls.append(path)
            clock[0] += 20
            raise UnavailableError("read", path, "no answer")

    keda = KedaWatch(Hanging(), lambda: clock[0])
    for _ in range(8):
        with pytest.raises(UnavailableError):
            keda.state()
    assert len(calls) == 1
    clock[0] += 5
    with pytest.raises(UnavailableError):
        keda.state()
    assert len(calls) == 2


def test_without_a_cluster_the_command_line_says_what_to_set(monkeypatch):
    from whisperfleet_operator import __main__ as command  # noqa: PLC0415
    from whisperfleet_operator.kube import client  # noqa: PLC0415

    def nowhere(**_: Any) -> None:
        raise client.ConfigException("no configuration")

    monkeypatch.setattr(client, "load_kube_config", nowhere)
    app = command.typer.Typer()
    app.command()(command.operator)
    result = CliRunner().invoke(app, ["--http-port=0"])
    assert result.exit_code == 2
    assert "set KUBECONFIG" in result.output

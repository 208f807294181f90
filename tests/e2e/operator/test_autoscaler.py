"""An autoscaler that stops, in each of its three directions, and pods that nobody starts."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest
import redis

from hack.testbed import Testbed
from support.audio.files import clips
from support.cluster.fleet import behind
from support.cluster.kube import Json, Kube, until
from support.operator.audit import AuditLog
from support.operator.process import Operator
from support.operator.programs import GATED_PROGRAM, program, template
from support.operator.services import CHILD, FAST, POOL, Service, manifest
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.queue import RedisSettings

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(600, func_only=True),
    pytest.mark.usefixtures("operator"),
]

# Three intervals, the time that a reconcile may be late, and that of a busy machine.
TOLD_SECONDS = 120
_LABEL = re.compile(r'(\w+)="([^"]*)"')
ENFORCE = "pod-security.kubernetes.io/enforce"


@dataclass(frozen=True)
class Fleet:
    """A service whose jobs take until its gate is open; a pod has one of them at a time."""

    service: Service
    client: Client
    raw: redis.Redis

    def send(self, count: int) -> None:
        metadata = behind(self.service.name)
        for _ in range(count):
            self.client.submit(Job(audio=clips()[0][0], metadata=metadata))

    def open(self) -> None:
        self.raw.set(behind(self.service.name)["gate"], "open")

    def jobs(self) -> int:
        return self.raw.xlen(self.client.keys.stream("normal"))

    def running(self) -> bool:
        group = self.raw.xinfo_groups(self.client.keys.stream("normal"))
        return any(each["pending"] for each in group)

    def scaled_to(self) -> int:
        found: Json = self.service.get("deployment", f"{self.service.name}-{POOL}")
        return found["spec"].get("replicas", 0)


@pytest.fixture
def make_fleet(
    kube: Kube, namespace: str, worker_image: str, redis_url: str, raw: redis.Redis
) -> Iterator[Callable[[str], Fleet]]:
    kube.create(program(GATED_PROGRAM), namespace)
    with ExitStack() as left:

        def make(name: str) -> Fleet:
            spec = {
                "scaling": FAST,
                "worker": {"maxInFlight": 1, "drainSeconds": 5},
                "pools": [{"name": POOL, "replicas": {"max": 3}, "template": template()}],
            }
            kube.create(manifest(name, namespace, worker_image, redis_url, **spec), namespace)
            client = Client(RedisSettings(redis_url), f"{namespace}.{name}")
            return Fleet(Service(kube, namespace, name), left.enter_context(client), raw)

        yield make


def alerted(operator: Operator) -> set[tuple[str, str]]:
    """Return what the alerts go by: each service whose autoscaler fails, and the reason."""
    lines = operator.ask("/metrics").splitlines()
    series = [line for line in lines if line.startswith("whisperfleet_service_autoscaler{")]
    told = [dict(_LABEL.findall(line)) for line in series if line.endswith(" 1.0")]
    return {(labels["service"], labels["reason"]) for labels in told}


@contextmanager
def stopped(testbed: Testbed, *components: str) -> Iterator[None]:
    """End parts of KEDA and leave all that they made."""
    try:
        for component in components:
            testbed.kill(component)
        yield
    finally:
        for component in components:
            testbed.restart(component)


@pytest.mark.alone
def test_a_keda_that_stops_is_named_in_every_direction_and_work_is_done_without_it(
    make_fleet: Callable[[str], Fleet], testbed: Testbed, audit: AuditLog, operator: Operator
):
    asleep, small, awake = (make_fleet(name) for name in ("asleep", "small", "awake"))
    for fleet in (asleep, small, awake):
        fleet.service.wait_for("Ready", "Idle", "True")
    for fleet in (small, awake):
        fleet.send(1)
    for fleet in (small, awake):
        until(fleet.running, f"{fleet.service.name} has a pod", 90)
    with stopped(testbed, "keda-operator", "keda-metrics"):
        awake.open()
        asleep.send(8)
        small.send(7)

        # 0 to 1: the operator wakes one pod, and no more.
        message = asleep.service.fails_with("AutoscalerSilent", TOLD_SECONDS)
        assert "check that the keda-operator runs" in message
        until(lambda: "WokenByOperator" in asleep.service.events(), "an Event tells who woke it")
        # 1 to N.
        held = small.service.wait_for("Ready", "AutoscalerHoldsBack", "True", TOLD_SECONDS)
        assert "FailedGetExternalMetric" in held["message"]
        assert "kubectl get apiservice" in held["message"]
        small.service.wait_for("Degraded", "AutoscalerHoldsBack", "True")
        # N to 0.
        kept = awake.service.wait_for("Ready", "AutoscalerKeepsAwake", "True", TOLD_SECONDS)
        assert "does not put the 1 pods to sleep" in kept["message"]
        told = {
            ("asleep", "AutoscalerSilent"),
            ("small", "AutoscalerHoldsBack"),
            ("awake", "AutoscalerKeepsAwake"),
        }
        until(lambda: alerted(operator) == told, lambda: f"alerts: {alerted(operator)}", 60)
        asleep.open()
        until(lambda: asleep.jobs() == 0, "the jobs of the fleet that slept are done", 120)
        assert [fleet.scaled_to() for fleet in (asleep, small, awake)] == [1, 1, 1]

    # All of it is KEDA's again.
    until(lambda: small.scaled_to() == 3, "it grows", 90)
    small.service.wait_for("AutoscalerReady", "AsExpected", "True")
    for fleet in (asleep, awake):
        until(lambda fleet=fleet: not fleet.scaled_to(), f"{fleet.service.name} sleeps", 90)
        fleet.service.wait_for("AutoscalerReady", "AsExpected", "True")
    until(lambda: not alerted(operator), lambda: f"alerts: {alerted(operator)}", 60)
    small.open()
    until(lambda: small.jobs() == 0, "the jobs of the fleet that grew are done", 120)
    scaled = [line for line in audit.writes() if "deployments/scale" in line]
    assert scaled == ["patch deployments/scale/asleep-main"]


def test_another_autoscaler_on_the_deployment_is_named(apply_service, kube: Kube, namespace: str):
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": CHILD}
    rival = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "by-hand"},
        "spec": {"scaleTargetRef": target, "maxReplicas": 2},
    }
    kube.create(rival, namespace)
    service = apply_service(scaling=FAST)
    message = service.wait_for("AutoscalerReady", "AutoscalerContested", "False")["message"]
    # The remedy, word for word.
    kube.run("-n", namespace, *message.partition("(kubectl ")[2].rstrip(")").split())
    service.wait_for("Ready", "Idle", "True")


def test_a_pod_that_never_starts_says_what_it_waits_for(apply_service, queue: Client):
    absent = {
        "volumes": [{"name": "data", "csi": {"driver": "absent.example"}}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    service = apply_service(
        scaling=FAST, pools=[{"name": POOL, "replicas": {"max": 1}, "template": absent}]
    )
    service.wait_for("Ready", "Idle", "True")
    queue.submit(Job(audio=clips()[0][0]))
    service.wait_for("Ready", "PodStarting", "True", 60)
    message = service.fails_with("WorkersNotReady", FAST["startupSeconds"] + 60)
    assert "kubectl describe pod" in message


def test_pods_that_the_kubelet_refuses_are_told_of(
    apply_service, kube, namespace: str, queue: Client
):
    kube.run("label", "namespace", namespace, "--overwrite", f"{ENFORCE}=privileged")
    service = apply_service(scaling=FAST)
    service.wait_for("Ready", "Idle", "True")
    # Nothing that a service could say: somebody edits the pods.
    security = {"sysctls": [{"name": "net.core.somaxconn", "value": "1024"}]}
    change = {"spec": {"template": {"spec": {"securityContext": security}}}}
    kube.run("-n", namespace, "patch", "deployment", CHILD, "-p", json.dumps(change))
    queue.submit(Job(audio=clips()[0][0]))
    message = service.fails_with("PodsFailing", 90)
    assert "SysctlForbidden" in message
    assert "net.core.somaxconn" in message
    assert "kubectl describe pod" in message


def test_a_rollout_that_somebody_paused_is_told_and_the_model_is_that_of_the_pods(
    apply_service, kube, namespace: str, worker_image: str
):
    running = worker_image.rpartition(":")[2]
    service = apply_service(pools=[{"name": POOL, "replicas": {"min": 1, "max": 1}}])
    until(lambda: service.get().get("status", {}).get("replicas") == "1/1", "a worker works", 120)
    kube.run("-n", namespace, "rollout", "pause", "deployment", CHILD)
    service.patch({"spec": {"model": {"image": "absent.invalid/worker:1.2.3"}}})
    service.wait_for("Ready", "RolloutPaused", "True")
    assert service.get()["status"]["model"] == running
    kube.run("-n", namespace, "rollout", "resume", "deployment", CHILD)
    service.wait_for("Degraded", "ImagePull", "True", 120)

"""An autoscaler that stops, in each of its three directions, and pods that nobody starts."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis

from audio_files import clips
from cluster.fleet import behind
from cluster.kube import until
from hack.testbed import Testbed
from operating.audit import AuditLog
from operating.programs import GATED_PROGRAM, program, template
from operating.services import CHILD, FAST, POOL, Service
from whisperfleet.client import Client
from whisperfleet.contract.job import Job

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.alone,
    pytest.mark.timeout(600, func_only=True),
    pytest.mark.usefixtures("operator"),
]

# Three intervals, the time that a look may be late, and that of a busy machine.
TOLD_SECONDS = 120
GATE = "gate:all"
ENFORCE = "pod-security.kubernetes.io/enforce"


@contextmanager
def stopped(testbed: Testbed, component: str) -> Iterator[None]:
    """End a part of KEDA and leave all that it made."""
    try:
        testbed.kill(component)
        yield
    finally:
        testbed.restart(component)


def gated(apply_service, replicas: int) -> Service:
    """A fleet whose jobs take until their gate is open; each pod has two of them."""
    service: Service = apply_service(
        scaling=FAST,
        worker={"maxInFlight": 1, "drainSeconds": 5},
        pools=[{"name": POOL, "replicas": {"max": replicas}, "template": template()}],
    )
    service.kube.create(program(GATED_PROGRAM), service.namespace)
    service.wait_for("Ready", "Idle", "True")
    return service


def send(queue: Client, count: int) -> None:
    for number in range(count):
        queue.submit(Job(id=f"call-{number}", audio=clips()[0][0], metadata=behind("all")))


def test_a_fleet_whose_autoscaler_stops_does_its_jobs_and_stays_awake(
    apply_service,
    testbed: Testbed,
    queue: Client,
    raw: redis.Redis,
    audit: AuditLog,
    report_figure,
):
    """0 to 1 and N to 0: the operator wakes one pod, and leaves the rest to KEDA."""
    service = gated(apply_service, replicas=3)
    with stopped(testbed, "keda-operator"):
        send(queue, 8)
        message = service.fails_with("AutoscalerSilent", TOLD_SECONDS)
        assert "check that the keda-operator runs" in message
        until(lambda: "WokenByOperator" in service.events(), "an Event tells that it was woken")
        until(lambda: raw.hget(queue.keys.job("call-0"), "state") == b"running", "it is begun", 90)
        assert service.child("deployment")["spec"]["replicas"] == 1
        raw.set(GATE, "open")
        until(lambda: raw.xlen(queue.keys.stream("normal")) == 0, "the jobs are done", 120)
        # The pod stays: taking it away is KEDA's alone.
        kept = service.wait_for("Ready", "AutoscalerKeepsAwake", "True", TOLD_SECONDS)
        assert "does not put the 1 pods to sleep" in kept["message"]
    until(lambda: not service.child("deployment")["spec"]["replicas"], "KEDA sends it to sleep", 90)
    service.wait_for("AutoscalerReady", "AsExpected", "True")
    scaled = [line for line in audit.writes() if "deployments/scale" in line]
    assert scaled == [f"patch deployments/scale/{CHILD}"]
    report_figure("a stopped keda-operator: one pod woken, all jobs done, asleep once it is back")


def test_a_fleet_whose_metrics_are_gone_says_that_it_does_not_grow(
    apply_service, testbed: Testbed, queue: Client, raw: redis.Redis
):
    """1 to N."""
    service = gated(apply_service, replicas=3)
    with stopped(testbed, "keda-metrics"):
        send(queue, 8)
        ready = service.wait_for("Ready", "AutoscalerHoldsBack", "True", TOLD_SECONDS + 60)
        assert "FailedGetExternalMetric" in ready["message"]
        assert "external.metrics.k8s.io" in ready["message"]
        service.wait_for("Degraded", "AutoscalerHoldsBack", "True")
        assert service.child("deployment")["spec"]["replicas"] == 1
    service.wait_for("AutoscalerReady", "AsExpected", "True", 60)
    until(lambda: service.child("deployment")["spec"]["replicas"] == 3, "it grows", 60)
    raw.set(GATE, "open")
    until(lambda: raw.xlen(queue.keys.stream("normal")) == 0, "the jobs are done", 120)


def test_another_autoscaler_on_the_deployment_is_named(apply_service, kube, namespace: str):
    service = apply_service(scaling=FAST)
    service.wait_for("Ready", "Idle", "True")
    rival = ("autoscale", "deployment", CHILD, "--name=by-hand", "--min=1", "--max=2")
    kube.run("-n", namespace, *rival)
    message = service.wait_for("AutoscalerReady", "AutoscalerContested", "False", 90)["message"]
    assert "by-hand" in message
    service.delete("hpa", "by-hand")
    service.wait_for("Ready", "Idle", "True", 90)


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

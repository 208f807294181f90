"""Each reason from its real cause."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from support.audio.files import clips
from support.cluster.fleet import behind
from support.cluster.kube import until
from support.operator.programs import GATED_PROGRAM, HELD_PROGRAM, program, template
from support.operator.services import CHILD, FAST, POOL, Service
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(300, func_only=True),
    pytest.mark.usefixtures("operator"),
]

QUICK = {"scaling": FAST, "worker": {"maxInFlight": 1, "drainSeconds": 5}}


def pool(**changes):
    return [{"name": POOL, "replicas": {"max": 1}, **changes}]


def send(queue: Client, count: int = 1) -> None:
    for _ in range(count):
        queue.submit(Job(audio=clips()[0][0]))


def test_no_gpu(apply_service, queue: Client):
    service = apply_service(**QUICK, pools=pool(gpu={"count": 16}))
    service.wait_for("Ready", "Idle")
    send(queue)
    message = service.fails_with("NoGPUAvailable")
    assert "waits for 16 nvidia.com/gpu" in message
    assert "Insufficient nvidia.com/gpu" in message


def test_no_node_of_the_preset(apply_service, queue: Client):
    service = apply_service(**QUICK, pools=pool(gpu={"preset": "gke-l4"}))
    service.wait_for("Ready", "Idle")
    send(queue)
    assert "of the preset gke-l4" in service.fails_with("NoGPUAvailable")


def test_no_node_for_a_cpu_pool(apply_service, queue: Client):
    service = apply_service(**QUICK, pools=pool(nodeSelector={"zone": "nowhere"}))
    service.wait_for("Ready", "Idle")
    send(queue)
    assert "nodeSelector" in service.fails_with("Unschedulable")


def test_a_quota(apply_service, queue: Client):
    service = apply_service(**QUICK)
    service.wait_for("Ready", "Idle")
    # Redis is one pod already.
    service.kube.run("-n", service.namespace, "create", "quota", "pods", "--hard=pods=1")
    until(lambda: service.get("quota", "pods").get("status"), "the quota is counted")
    send(queue)
    assert "exceeded quota: pods" in service.fails_with("QuotaExceeded")


def test_an_absent_image(apply_service, queue: Client):
    service = apply_service(**QUICK, model={"image": "absent.invalid/worker:1"})
    service.wait_for("Ready", "Idle")
    send(queue)
    assert "absent.invalid/worker:1" in service.fails_with("ImagePull")


def test_a_worker_that_crashes(apply_service, queue: Client):
    # An image that has no worker in it, and says so by its exit code.
    service = apply_service(**QUICK, model={"image": "whisperfleet.local/redis:7.0"})
    service.wait_for("Ready", "Idle")
    send(queue)
    assert "kubectl logs --previous" in service.fails_with("WorkersCrashing", 120)


def test_a_model_that_takes_its_time(apply_service, queue: Client, raw: redis.Redis):
    gate = f"{queue.keys.prefix}go"
    service = apply_service(**QUICK, pools=pool(template=template(HELD_UNTIL=gate)))
    service.kube.create(program(HELD_PROGRAM), service.namespace)
    service.wait_for("Ready", "Idle")
    send(queue)
    ready = service.wait_for("Ready", "ModelLoading", "True", 90)
    assert "loads the model" in ready["message"]
    assert service.condition("WorkersAvailable")["status"] == "False"
    raw.set(gate, 1)
    until(lambda: raw.xlen(queue.keys.stream("normal")) == 0, "the job is done", 60)


@pytest.mark.usefixtures("testbed")
def test_a_worker_that_hangs(apply_service):
    service = apply_service(**QUICK, pools=pool(replicas={"min": 1, "max": 1}))
    until(lambda: service.get().get("status", {}).get("replicas") == "1/1", "a worker works", 120)
    for process in _processes_of(service):
        os.kill(process, signal.SIGSTOP)
    try:
        ready = service.wait_for("WorkersAvailable", "WorkersNotReady", "False", 120)
        assert f"startupSeconds ({FAST['startupSeconds']} s)" in ready["message"]
    finally:
        for process in _processes_of(service):
            os.kill(process, signal.SIGCONT)


def test_more_work_than_pods(apply_service, queue: Client):
    # Without the cache every job takes its time, though the audio is the same.
    uncached = {"env": [{"name": "WHISPERFLEET_CACHE_SECONDS", "value": "0"}]}
    service = apply_service(**QUICK, pools=pool(template=uncached))
    service.wait_for("Ready", "Idle")
    send(queue, 1000)
    ready = service.wait_for("Ready", "AtMaxReplicas", "True", 90)
    assert "replicas.max" in ready["message"]


def test_a_suspended_fleet_takes_jobs_and_does_none(apply_service, queue: Client, raw: redis.Redis):
    service = apply_service(**QUICK, suspend=True)
    service.wait_for("Ready", "Suspended", "False")
    send(queue)
    until(lambda: service.get()["status"]["queue"]["queued"] == 1, "the job is counted")
    assert service.child("deployment")["spec"]["replicas"] == 0
    service.patch({"spec": {"suspend": False}})
    until(lambda: raw.xlen(queue.keys.stream("normal")) == 0, "the job is done", 120)
    until(lambda: service.condition("Ready")["status"] == "True", "it is ready again")
    # Nobody has paused anything, though KEDA says so for a moment.
    assert "AutoscalerPaused" not in service.events()


def test_a_fleet_that_is_suspended_at_work_says_who_still_works(
    apply_service, queue: Client, raw: redis.Redis
):
    service = apply_service(
        scaling=FAST,
        worker={"maxInFlight": 1, "drainSeconds": 60},
        pools=pool(template=template()),
    )
    service.kube.create(program(GATED_PROGRAM), service.namespace)
    service.wait_for("Ready", "Idle")
    queue.submit(Job(id="slow", audio=clips()[0][0], metadata=behind("open")))
    until(lambda: raw.hget(queue.keys.job("slow"), "state") == b"running", "it is begun", 90)
    service.patch({"spec": {"suspend": True}})
    service.wait_for("Ready", "Suspended", "False")
    until(lambda: not service.child("deployment")["spec"]["replicas"], "no pod is asked for")
    # What the queue holds is some seconds old.
    until(
        lambda: "the last pods finish what they hold" in service.condition("Ready")["message"],
        "the pod that is on its way out is told of",
    )
    raw.set("gate:open", 1)
    until(
        lambda: "nobody works on them" in service.condition("Ready")["message"],
        "the last pod is gone",
        90,
    )


def test_redis_that_stops_and_comes_back(apply_service):
    service = apply_service()
    service.wait_for("Ready", "Idle")
    before = service.children()
    _scale_redis(service, 0)
    assert "does not answer" in service.fails_with("QueueUnreachable")
    assert {each["metadata"]["uid"] for each in service.children().values()} == {
        each["metadata"]["uid"] for each in before.values()
    }
    _scale_redis(service, 1)
    service.wait_for("Ready", "Idle", "True", 90)
    until(lambda: "QueueReachableAgain" in service.events(), "an Event says so")


def test_a_secret_that_is_missing_and_comes(apply_service, redis_url: str):
    credentials = {"redis": {"url": redis_url, "credentials": {"secretName": "redis-access"}}}
    service = apply_service(queue=credentials)
    message = service.fails_with("SecretMissing")
    assert "redis-access" in message
    # Nothing waits for it but the autoscaler.
    until(lambda: service.child("deployment"), "the rest is made")
    assert not service.child("scaledobject")
    _make_secret(service, "no-key=x")
    until(
        lambda: "no text under the key password" in service.condition("Ready")["message"],
        "the missing key is named",
    )
    service.delete("secret", "redis-access")
    # A Redis without passwords refuses one, which shows that ours has been sent.
    _make_secret(service, "username=someone", "password=secret")
    assert "someone" not in service.fails_with("QueueRefused")


def test_a_name_that_is_taken(apply_service, kube, namespace):
    kube.run("-n", namespace, "create", "serviceaccount", CHILD)
    uid = Service(kube, namespace).child("serviceaccount")["metadata"]["uid"]
    service = apply_service()
    assert f"the ServiceAccount {CHILD} exists" in service.fails_with("NameTaken")
    # What refers to it waits; the rest is there.
    made = {"networkpolicy", "poddisruptionbudget"}
    assert service.children().keys() == {"serviceaccount", *made}
    assert service.child("serviceaccount")["metadata"]["uid"] == uid
    # The remedy, word for word.
    kube.run(*service.condition("Ready")["message"].partition(": kubectl ")[2].split())
    service.wait_for("Ready", "Idle", "True", 60)


def test_a_queue_of_another_cluster(apply_service, raw: redis.Redis, namespace: str):
    meta = Keys(f"{namespace}.calls").meta
    raw.hset(meta, "owner", "elsewhere/team/calls")
    service = apply_service()
    assert "elsewhere/team/calls" in service.fails_with("QueueOwnedByAnother")
    assert not service.child("scaledobject")
    raw.delete(meta)
    service.wait_for("Ready", "Idle", "True", 90)


def test_reconcile_disabled(apply_service):
    service = apply_service()
    service.wait_for("Ready", "Idle")
    service.patch({"metadata": {"annotations": {"whisperfleet.io/reconcile": "disabled"}}})
    service.wait_for("Ready", "ReconcileDisabled", "Unknown")
    service.patch({"spec": {"maxReplicaCount": 9}}, "scaledobject", CHILD)
    service.delete("poddisruptionbudget", CHILD)
    # What the operator says of this change it says after those.
    service.patch({"spec": {"scaling": {"cooldownSeconds": 601}}})
    generation = service.get()["metadata"]["generation"]
    until(
        lambda: service.get()["status"]["observedGeneration"] == generation,
        "the operator has reconciled",
        60,
    )
    assert service.child("scaledobject")["spec"]["maxReplicaCount"] == 9
    assert not service.child("poddisruptionbudget")
    service.patch({"metadata": {"annotations": {"whisperfleet.io/reconcile": None}}})
    service.wait_for("Ready", "Idle", "True")
    assert service.child("scaledobject")["spec"]["maxReplicaCount"] == 3
    assert service.child("poddisruptionbudget")


def _scale_redis(service: Service, replicas: int) -> None:
    service.kube.run(
        "-n", service.namespace, "scale", "statefulset", "redis", f"--replicas={replicas}"
    )


def _make_secret(service: Service, *literals: str) -> None:
    values = [f"--from-literal={literal}" for literal in literals]
    service.kube.run(
        "-n", service.namespace, "create", "secret", "generic", "redis-access", *values
    )


def _processes_of(service: Service) -> Iterator[int]:
    """The processes of this machine, which is the node, that belong to the service's pods."""
    uids = [pod["metadata"]["uid"] for pod in service.pods()]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes().decode("utf-8", "replace")
        except OSError:
            continue
        if any(f"WHISPERFLEET_POD_UID={uid}" in environment for uid in uids):
            yield int(process.name)

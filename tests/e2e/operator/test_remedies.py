"""Each cause with its remedy, which is tried: after it a pod is on its way."""

from collections.abc import Callable
from typing import Any

import pytest

from hack.testbed import Testbed
from hack.testbed.layout import NODE
from support.audio.files import clips
from support.cluster.kube import Json, Kube, until
from support.operator.process import Operator
from support.operator.services import CHILD, FAST, POOL, Service
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.queue import RedisSettings

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(300, func_only=True),
    pytest.mark.usefixtures("operator"),
]

Wake = Callable[..., Service]


@pytest.fixture
def wake(apply_service, queue: Client) -> Wake:
    """Call it with what the spec shall say; there is a job for the fleet."""

    def wake(pool: Json | None = None, **spec: Any) -> Service:
        pools = [{"name": POOL, "replicas": {"max": 1}, **(pool or {})}]
        service: Service = apply_service(scaling=FAST, pools=pools, **spec)
        queue.submit(Job(audio=clips()[0][0]))
        return service

    return wake


def _is_placed(service: Service) -> bool:
    return any(pod["spec"].get("nodeName") for pod in service.pods())


@pytest.mark.usefixtures("testbed")
def test_memory_that_the_node_with_the_gpu_has_not(wake: Wake):
    resources = {"requests": {"memory": "8Ti"}}
    service = wake({"gpu": {"count": 1}}, worker={"resources": resources})
    message = service.fails_with("Unschedulable")
    assert "lower spec.worker.resources.requests.memory" in message
    service.patch({"spec": {"worker": {"resources": {"requests": {"memory": "64Mi"}}}}})
    until(lambda: _is_placed(service), "the pod is placed", 60)


@pytest.mark.alone
@pytest.mark.usefixtures("testbed")
def test_a_node_that_is_cordoned(wake: Wake, kube: Kube):
    kube.run("cordon", NODE)
    try:
        service = wake({"gpu": {"count": 1}})
        assert "uncordon one with a GPU" in service.fails_with("Unschedulable")
    finally:
        kube.run("uncordon", NODE)
    until(lambda: _is_placed(service), "the pod is placed", 60)


def test_a_claim_that_does_not_exist_and_one_without_a_volume(
    wake: Wake, kube: Kube, testbed: Testbed
):
    del testbed
    model = {"image": "example/worker:1", "source": {"volumeClaim": {"claimName": "models"}}}
    service = wake(model=model)
    message = service.fails_with("Unschedulable")
    assert "the PersistentVolumeClaim models does not exist: create it" in message
    _create_claim(kube, service.namespace)
    until(
        lambda: "give the claim a storageClassName" in service.condition("Ready")["message"],
        "its claim has no volume",
        60,
    )
    volume = _volume(service.namespace)
    kube.create(volume)
    try:
        until(lambda: _is_placed(service), "the pod is placed", 90)
    finally:
        kube.run("delete", "persistentvolume", volume["metadata"]["name"], "--wait=false")


def _create_claim(kube: Kube, namespace: str) -> None:
    # A class of nobody: only a volume that is made for it is bound to it.
    spec = {
        "accessModes": ["ReadWriteMany"],
        "storageClassName": namespace,
        "resources": {"requests": {"storage": "1Gi"}},
    }
    kube.create(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "models"},
            "spec": spec,
        },
        namespace,
    )


def _volume(namespace: str) -> Json:
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteMany"],
        "storageClassName": namespace,
        "hostPath": {"path": "/tmp"},
        "persistentVolumeReclaimPolicy": "Retain",
    }
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": namespace},
        "spec": spec,
    }


def test_a_quota_that_asks_for_limits(wake: Wake, kube: Kube, namespace: str):
    hard = "--hard=limits.memory=4Gi"
    kube.run("-n", namespace, "create", "quota", "memory", hard)
    service = wake()
    message = service.fails_with("PodRefused")
    assert "set spec.worker.resources.limits.memory" in message
    service.patch({"spec": {"worker": {"resources": {"limits": {"memory": "512Mi"}}}}})
    until(service.pods, "a pod is made", 60)


def test_a_limit_range(wake: Wake, kube: Kube, namespace: str):
    limits = {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "small"},
        "spec": {"limits": [{"type": "Container", "max": {"memory": "1Gi"}}]},
    }
    kube.create(limits, namespace)
    service = wake(worker={"resources": {"limits": {"memory": "2Gi"}}})
    message = service.fails_with("PodRefused")
    assert "set spec.worker.resources.limits.memory to at most 1Gi" in message
    service.patch({"spec": {"worker": {"resources": {"limits": {"memory": "1Gi"}}}}})
    until(service.pods, "a pod is made", 60)


def test_a_secret_of_the_environment(wake: Wake, kube: Kube, namespace: str):
    reference = {"secretKeyRef": {"name": "more", "key": "token"}}
    template = {"env": [{"name": "TOKEN", "valueFrom": reference}]}
    service = wake({"template": template})
    message = service.fails_with("SecretMissing")
    assert "the Secret more does not exist" in message
    assert "the variable TOKEN in template.env of the pool main" in message
    kube.run("-n", namespace, "create", "secret", "generic", "more", "--from-literal=token=x")
    until(lambda: service.condition("Degraded")["status"] == "False", "nothing is missing", 120)
    until(service.pods, "a pod is made", 120)


def test_a_registrys_secret(wake: Wake, operator: Operator):
    del operator
    service = wake(
        {"template": {"imagePullSecrets": [{"name": "registry"}]}},
        model={"image": "absent.invalid/worker:1"},
    )
    message = service.fails_with("SecretMissing")
    assert "the Secret registry does not exist" in message
    assert service.child("deployment")["metadata"]["name"] == CHILD


def test_a_redis_that_wants_a_password(apply_service, kube: Kube, namespace: str, redis_url: str):
    with RedisSettings(redis_url).connect() as client:
        client.config_set("requirepass", "secret")
    service: Service = apply_service()
    message = service.fails_with("QueueRefused")
    assert "name that in spec.queue.redis.credentials" in message
    _put(kube, namespace, "create", "secret\n")
    service.patch({"spec": {"queue": {"redis": {"credentials": {"secretName": "redis-access"}}}}})
    until(
        lambda: "ends with a line end" in service.condition("Ready")["message"],
        "the line end is named",
        60,
    )
    kube.run("-n", namespace, "delete", "secret", "redis-access")
    _put(kube, namespace, "create", "secret")
    service.wait_for("Ready", "Idle", "True", 90)


def _put(kube: Kube, namespace: str, verb: str, password: str) -> None:
    kube.run(
        *("-n", namespace, verb, "secret", "generic", "redis-access"),
        f"--from-literal=password={password}",
    )

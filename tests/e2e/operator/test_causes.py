"""Reasons that the cluster, KEDA or Redis give, each from its real cause."""

import pytest
import redis

from support.audio.files import clips
from support.cluster.kube import until
from support.operator.services import CHILD, FAST, POOL, Service
from whisperfleet.client import Client
from whisperfleet.contract.job import Job

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(300, func_only=True),
    pytest.mark.usefixtures("operator"),
]

PAUSE = "autoscaling.keda.sh/paused"


def test_a_redis_that_forgets(apply_service, raw: redis.Redis):
    raw.config_set("appendonly", "no")
    service = apply_service()
    message = service.wait_for("QueueDurable", "QueueNotDurable", "False")["message"]
    assert "appendonly" in message
    # Jobs are done all the same.
    service.wait_for("Ready", "Idle", "True")
    until(lambda: "QueueNotDurable" in service.events(), "an Event says so")


def test_an_autoscaler_that_may_not_be_made(apply_service, kube, namespace: str):
    hard = "--hard=count/horizontalpodautoscalers.autoscaling=0"
    kube.run("-n", namespace, "create", "quota", "autoscalers", hard)
    until(lambda: Service(kube, namespace).get("quota", "autoscalers").get("status"), "it counts")
    service = apply_service()
    message = service.fails_with("AutoscalerFailed")
    assert f"kubectl describe scaledobject {CHILD}" in message
    assert service.condition("AutoscalerReady")["reason"] == "AutoscalerFailed"
    service.delete("quota", "autoscalers")
    service.wait_for("Ready", "Idle", "True", 120)


def test_an_autoscaler_that_somebody_pauses(apply_service):
    service = apply_service()
    service.wait_for("Ready", "Idle", "True")
    service.patch({"metadata": {"annotations": {PAUSE: "true"}}}, "scaledobject", CHILD)
    assert f"the annotation {PAUSE}: remove it" in service.fails_with("AutoscalerPaused")
    service.patch({"metadata": {"annotations": {PAUSE: None}}}, "scaledobject", CHILD)
    service.wait_for("Ready", "Idle", "True")


def test_pods_that_the_namespace_forbids(apply_service, kube, namespace: str, queue: Client):
    limits = {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "large"},
        "spec": {"limits": [{"type": "Pod", "min": {"cpu": "64"}}]},
    }
    # Redis is there already.
    kube.create(limits, namespace)
    service = apply_service(scaling=FAST)
    service.wait_for("Ready", "Idle", "True")
    queue.submit(Job(audio=clips()[0][0]))
    message = service.fails_with("PodRefused")
    assert "minimum cpu usage per Pod is 64" in message


def test_a_template_that_the_api_server_refuses(apply_service):
    nowhere = {"fieldRef": {"fieldPath": "metadata.nonsense"}}
    template = {"env": [{"name": "A", "valueFrom": nowhere}]}
    pools = [{"name": POOL, "replicas": {"max": 3}, "template": template}]
    service = apply_service(pools=pools)
    message = service.fails_with("ApplyRefused")
    assert f"refuses the Deployment {CHILD}" in message
    assert "metadata.nonsense" in message
    # The rest is there, and no pod.
    assert service.child("poddisruptionbudget")
    assert service.child("deployment")["spec"]["replicas"] == 0
    service.patch({"spec": {"pools": [{"name": POOL, "replicas": {"max": 3}}]}})
    service.wait_for("Ready", "Idle", "True")

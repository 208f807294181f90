"""Pods, pools and the depth of the queue, in the status and in the metrics."""

import json
from datetime import datetime

import pytest
import redis
from typer.testing import CliRunner

from support.operator.fake_kube import FakeKube
from support.operator.reconciling import World
from support.operator.services import CHILD
from support.operator.world import NAMESPACE, waiting_pod
from whisperfleet.cli.app import app
from whisperfleet.client import Admin, Client
from whisperfleet.contract.job import Job
from whisperfleet.queue import Released, WorkQueue
from whisperfleet_operator.kube.kinds import DEPLOYMENT, POD


def test_pods_are_counted_from_the_first_reconcile_of_an_operator_on(
    settled: World, fake: FakeKube
):
    fake.edit(DEPLOYMENT, NAMESPACE, CHILD, lambda live: live["spec"].update(replicas=1))
    labels = settled.child()["spec"]["template"]["metadata"]["labels"]
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    fake.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p", "namespace": NAMESPACE, "labels": labels},
            "status": ready,
        },
        "kubelet",
    )
    settled.deaf = True
    settled.restart()
    settled.reconcile()
    assert settled.service()["status"]["replicas"] == "1/1"
    assert fake.list(POD, NAMESPACE, "")


def test_the_depth_of_the_queue_is_in_the_status_and_in_the_metrics(
    settled: World, queue: redis.Redis
):
    queue.xadd(settled.keys.stream("normal"), {"url": "https://example.org/a.wav"})
    settled.reconcile()
    depths = settled.service()["status"]["queue"]
    assert (depths["queued"], depths["running"], depths["deadLetters"]) == (1, 0, 0)
    assert depths["oldestEnqueueTime"].endswith("Z")
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in settled.service_metrics.collect()
        for sample in family.samples
    }
    assert samples["whisperfleet_queue_queued", NAMESPACE, "calls"] == 1
    assert samples["whisperfleet_operator_services", "Ready", "True", "ScalingUp"] == 1
    oldest = datetime.fromisoformat(depths["oldestEnqueueTime"]).timestamp()
    assert samples["whisperfleet_queue_oldest_timestamp_seconds", NAMESPACE, "calls"] == oldest
    queue.delete(settled.keys.stream("normal"))
    settled.reconcile()
    assert "oldestEnqueueTime" not in settled.service()["status"]["queue"]
    oldest_of_none = [
        family.samples
        for family in settled.service_metrics.collect()
        if family.name == "whisperfleet_queue_oldest_timestamp_seconds"
    ]
    assert oldest_of_none == [[]]


@pytest.mark.parametrize(("handed_back", "counts"), [(0, (1, 2)), (1, (2, 1)), (2, (3, 0))])
def test_a_queue_has_one_depth_whoever_asks(
    settled: World, queue: redis.Redis, handed_back: int, counts: tuple[int, int]
):
    """Also after a drain: what was handed back waits."""
    producer = Client(settled.settings, settled.queue_id)
    with producer, Admin(settled.settings, settled.queue_id) as admin:
        producer.submit_many([Job(url="https://example.org/a.wav") for _ in range(3)], "high")
        worker = WorkQueue(queue, settled.keys, "worker")
        held = [worker.claim(), worker.claim()]
        for claim in held[:handed_back]:
            worker.settle(claim, Released())
        assert depths(settled, admin) == [counts] * 4


def depths(world: World, admin: Admin) -> list[tuple[int, int]]:
    """Return what waits and what runs as the client, the command line and the operator count."""
    world.reconcile(10)
    stats = admin.stats().streams
    place = ["--redis", world.settings.url, "--queue", world.queue_id]
    printed = CliRunner().invoke(app, ["queue", "stats", "--json", *place]).stdout
    told = json.loads(printed)["streams"]
    status = world.service()["status"]["queue"]
    metrics = {
        family.name: sum(sample.value for sample in family.samples)
        for family in world.service_metrics.collect()
    }
    return [
        (sum(each.waiting for each in stats), sum(each.running for each in stats)),
        (
            sum(each["length"] - each["running"] for each in told),
            sum(each["running"] for each in told),
        ),
        (status["queued"], status["running"]),
        (metrics["whisperfleet_queue_queued"], metrics["whisperfleet_queue_running"]),
    ]


def test_what_a_pool_does_is_in_the_metrics(settled: World, fake: FakeKube):
    fake.edit(DEPLOYMENT, NAMESPACE, CHILD, lambda live: live["spec"].update(replicas=2))
    settled.reconcile()
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in settled.service_metrics.collect()
        for sample in family.samples
    }
    place = (NAMESPACE, "calls", "main")
    assert samples["whisperfleet_pool_replicas", *place, "desired"] == 2
    assert samples["whisperfleet_pool_replicas", *place, "ready"] == 0
    reasons = [labels for labels in samples if labels[0] == "whisperfleet_pool_reason"]
    assert reasons == [("whisperfleet_pool_reason", *place, "ScalingUp")]


def test_an_autoscaler_that_fails_is_in_the_metrics_whatever_the_pods_wait_for(
    settled: World, fake: FakeKube, queue: redis.Redis
):
    def reasons() -> list[str]:
        return [
            sample.labels["reason"]
            for family in settled.service_metrics.collect()
            if family.name == "whisperfleet_service_autoscaler"
            for sample in family.samples
        ]

    queue.xadd(settled.keys.stream("normal"), {"url": "https://example.org/a.wav"})
    settled.reconcile()
    assert reasons() == []
    settled.reconcile(31)
    assert settled.child()["spec"]["replicas"] == 1
    waiting = waiting_pod()
    waiting["metadata"]["labels"] = settled.child()["spec"]["template"]["metadata"]["labels"]
    fake.create(waiting, "the controllers")
    settled.reconcile(10)
    assert settled.service()["status"]["pools"][0]["reason"] != "AutoscalerSilent"
    assert reasons() == ["AutoscalerSilent"]

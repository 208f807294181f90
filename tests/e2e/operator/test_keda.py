"""KEDA that goes, comes back, or is of another time."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis

from hack.testbed import Testbed
from support.audio.files import clips
from support.cluster.kube import Kube, until
from support.operator.services import FAST
from whisperfleet.client import Client
from whisperfleet.contract.job import Job

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.alone,
    pytest.mark.timeout(400, func_only=True),
    pytest.mark.usefixtures("operator"),
]

SCALED_OBJECTS = "scaledobjects.keda.sh"
DEFINITIONS = (SCALED_OBJECTS, "triggerauthentications.keda.sh")


def test_keda_that_is_removed_and_comes_back(
    apply_service, kube: Kube, testbed: Testbed, queue: Client, raw: redis.Redis
):
    service = apply_service()
    service.wait_for("Ready", "Idle", "True")
    deployment = service.child("deployment")["metadata"]["uid"]

    with _without_keda(kube, testbed):
        assert "install KEDA 2.17 or later" in service.fails_with("KedaMissing")
        assert service.condition("AutoscalerReady")["reason"] == "KedaMissing"
        assert service.condition("QueueReachable")["status"] == "True"
        assert service.child("deployment")["metadata"]["uid"] == deployment

    service.wait_for("Ready", "Idle", "True", 120)
    assert service.child("deployment")["metadata"]["uid"] == deployment
    queue.submit(Job(audio=clips()[0][0]))
    until(lambda: raw.xlen(queue.keys.stream("normal")) == 0, "the job is done", 120)


def test_a_service_that_goes_while_the_keda_operator_is_dead(
    apply_service, testbed: Testbed, queue: Client, raw: redis.Redis
):
    service = apply_service(scaling=FAST)
    service.wait_for("Ready", "Idle", "True")
    with _keda_dead(testbed):
        queue.submit(Job(audio=clips()[0][0]))
        # Its ScaledObject has a finalizer, which only the keda-operator takes away.
        service.delete()
        until(lambda: not service.get(), "the service is gone")
        successor = apply_service(scaling=FAST)
        message = successor.fails_with("PredecessorLeaving")
        assert "finalizer.keda.sh" in message
        assert "check that it runs" in message
    successor.wait_for("AutoscalerReady", "AsExpected", "True", 120)
    until(lambda: raw.xlen(queue.keys.stream("normal")) == 0, "the job is done", 120)


def test_keda_that_is_too_old_and_is_upgraded(apply_service, kube: Kube, testbed: Testbed):
    with _keda_of_216(kube, testbed):
        service = apply_service()
        assert "upgrade KEDA to 2.17 or later" in service.fails_with("KedaTooOld")
    service.wait_for("Ready", "Idle", "True", 120)


@contextmanager
def _without_keda(kube: Kube, testbed: Testbed) -> Iterator[None]:
    """Take KEDA's definitions away, as `kubectl delete` of its manifest does."""
    try:
        # Its objects have a finalizer of KEDA's, which is there to take it away.
        kube.run("delete", "crd", *DEFINITIONS, "--timeout=50s")
        yield
    finally:
        _install_keda(testbed)


@contextmanager
def _keda_dead(testbed: Testbed) -> Iterator[None]:
    """End the keda-operator and leave all that it made."""
    try:
        testbed.kill("keda-operator")
        yield
    finally:
        testbed.restart("keda-operator")


@contextmanager
def _keda_of_216(kube: Kube, testbed: Testbed) -> Iterator[None]:
    """Let the API server publish what tells 2.16 from its successors."""
    definition = kube.get("CustomResourceDefinition", SCALED_OBJECTS)
    versions = definition["spec"]["versions"]
    for version in versions:
        spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
        del spec["properties"]["fallback"]["properties"]["behavior"]
    change = {"spec": {"versions": versions}}
    try:
        kube.run("patch", "crd", SCALED_OBJECTS, "--type=merge", "-p", json.dumps(change))
        yield
    finally:
        _install_keda(testbed)


def _install_keda(testbed: Testbed) -> None:
    """Bring KEDA's definitions into the cluster and start it anew, as its manifest does."""
    testbed.restart("keda-operator")
    testbed.restart("keda-metrics")

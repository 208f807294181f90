"""What lacks something holds up no other part, and what was lost is found again."""

import pytest
import redis

from hack.testbed import Testbed
from support.cluster.kube import Kube, until
from support.operator.process import Operator
from support.operator.services import CHILD, CHILDREN, Service

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300, func_only=True)]

PAUSED = "autoscaling.keda.sh/paused-replicas"


@pytest.fixture
def guarded(
    apply_service, kube: Kube, namespace: str, redis_url: str, raw: redis.Redis, operator: Operator
) -> Service:
    """A service with credentials that sleeps."""
    del operator
    raw.acl_setuser("fleet", enabled=True, passwords=["+secret"], keys=["*"], commands=["+@all"])
    kube.run(
        *("-n", namespace, "create", "secret", "generic", "redis-access"),
        *("--from-literal=username=fleet", "--from-literal=password=secret"),
    )
    access = {"url": redis_url, "credentials": {"secretName": "redis-access"}}
    service: Service = apply_service(queue={"redis": access})
    service.wait_for("Ready", "Idle", "True")
    return service


def test_without_its_secret_a_fleet_is_put_to_sleep_and_gets_its_image(guarded: Service):
    guarded.delete("secret", "redis-access")
    guarded.fails_with("SecretMissing")
    template = guarded.child("deployment")["spec"]["template"]["metadata"]
    guarded.patch({"spec": {"suspend": True, "model": {"image": "example/worker:0.2.0"}}})
    until(
        lambda: guarded.child("scaledobject")["metadata"]["annotations"].get(PAUSED) == "0",
        "it is put to sleep",
    )

    def has_image() -> bool:
        pod = guarded.child("deployment")["spec"]["template"]
        return pod["spec"]["containers"][0]["image"] == "example/worker:0.2.0"

    until(has_image, "it gets its image")
    assert guarded.child("deployment")["spec"]["template"]["metadata"] == template


def test_a_label_on_the_secret_while_the_operator_is_away_rolls_nobody(
    guarded: Service, operator: Operator
):
    before = guarded.child("deployment")["metadata"]
    operator.stop()
    guarded.patch({"metadata": {"labels": {"team": "a"}}}, "secret", "redis-access")
    operator.start()
    operator.wait_for_reconciles(1)
    after = guarded.child("deployment")["metadata"]
    assert after["generation"] == before["generation"]
    # A digest that tells nothing of what it is of.
    text = str(guarded.child("deployment"))
    uid = guarded.get("secret", "redis-access")["metadata"]["uid"]
    assert uid not in text


def test_children_that_lost_their_owner_are_adopted(apply_service, operator: Operator):
    service: Service = apply_service()
    service.wait_for("Ready", "Idle", "True")
    before = {name: each["metadata"]["uid"] for name, each in service.children().items()}
    operator.stop()
    service.kube.run("-n", service.namespace, "delete", "tsvc", service.name, "--cascade=orphan")
    operator.start()
    again: Service = apply_service()
    again.wait_for("Ready", "Idle", "True")
    owner = again.get()["metadata"]["uid"]
    for name in CHILDREN:
        metadata = again.child(name)["metadata"]
        assert metadata["uid"] == before[name]
        assert [each["uid"] for each in metadata["ownerReferences"]] == [owner]
    assert "NameTaken" not in again.events()


def test_all_that_is_in_the_way_is_named_with_one_command(
    apply_service, kube: Kube, namespace: str, operator: Operator
):
    del operator
    kube.run("-n", namespace, "create", "serviceaccount", CHILD)
    kube.run(
        "-n", namespace, "create", "deployment", CHILD, "--image=example/other:1", "--replicas=0"
    )
    service: Service = apply_service()
    message = service.fails_with("NameTaken")
    kube.run(*message.partition(": kubectl ")[2].split())
    service.wait_for("Ready", "Idle", "True")
    assert len(service.children()) == len(CHILDREN)


@pytest.mark.alone
def test_an_api_server_that_restarts_is_not_without_keda(
    apply_service, operator: Operator, testbed: Testbed
):
    service: Service = apply_service()
    service.wait_for("Ready", "Idle", "True")
    for _ in range(2):
        testbed.kill("kube-apiserver")
        testbed.restart("kube-apiserver")
        operator.wait_for_reconciles(1, 120)
    assert not [line for line in operator.lines() if "the watches begin anew" in line["message"]]
    events = service.events()
    assert not [reason for reason in events if reason.startswith("Keda")]
    assert service.condition("Ready")["status"] == "True"

"""What is deleted or edited by hand comes back; what others add is theirs."""

from typing import Any

import pytest
import redis

from support.cluster.kube import Json, Kube, until
from support.operator.process import Operator
from support.operator.services import AUTHENTICATION, CHILD, CHILDREN

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator")]

# A field that the operator wants otherwise, by child.
_EDITS: dict[str, Json] = {
    "serviceaccount": {"automountServiceAccountToken": True},
    "networkpolicy": {"spec": {"ingress": []}},
    "poddisruptionbudget": {"spec": {"maxUnavailable": 3}},
    "deployment": {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 1}}}},
    "scaledobject": {"spec": {"maxReplicaCount": 99}},
    AUTHENTICATION: {"spec": {"secretTargetRef": []}},
}
ALL = (*CHILDREN, AUTHENTICATION)


@pytest.fixture
def service(apply_service, kube: Kube, namespace: str, raw: redis.Redis, redis_url: str):
    """A service with credentials, and so with every child that there can be."""
    raw.acl_setuser("fleet", enabled=True, passwords=["+secret"], keys=["*"], commands=["+@all"])
    kube.run(
        *("-n", namespace, "create", "secret", "generic", "redis-access"),
        *("--from-literal=username=fleet", "--from-literal=password=secret"),
    )
    access = {"url": redis_url, "credentials": {"secretName": "redis-access"}}
    made = apply_service(queue={"redis": access})
    made.wait_for("Ready", "Idle", "True")
    assert made.children().keys() == set(ALL) == _EDITS.keys()
    return made


def test_a_deleted_child_comes_back(service):
    for resource in ALL:
        uid = service.child(resource)["metadata"]["uid"]
        service.delete(resource, CHILD)

        def is_back(resource: str = resource, uid: str = uid) -> bool:
            return service.child(resource).get("metadata", {}).get("uid", uid) != uid

        until(is_back, f"the {resource} is back")
    assert service.child("deployment")["spec"]["replicas"] == 0
    service.wait_for("Ready", "Idle", "True")


def test_an_edit_by_hand_is_undone_and_what_others_add_stays(service):
    for resource, edit in _EDITS.items():
        before = service.child(resource)
        service.patch({**edit, "metadata": {"labels": {"cost-centre": "42"}}}, resource, CHILD)
        until(
            lambda r=resource, b=before, e=edit: _same(service.child(r), b, e),
            f"the edit of the {resource} is undone",
        )
        labels = service.child(resource)["metadata"]["labels"]
        assert labels["cost-centre"] == "42"


def test_the_autoscaler_owns_the_replicas(service, operator: Operator):
    # As KEDA does it, with the scale subresource; there is no work, so KEDA will undo it by itself.
    service.kube.run("-n", service.namespace, "scale", "deployment", CHILD, "--replicas=1")
    operator.wait_for_reconciles(2)
    managers = {
        entry["manager"]: "f:replicas" in entry["fieldsV1"].get("f:spec", {})
        for entry in service.child("deployment")["metadata"]["managedFields"]
        if entry.get("subresource") != "status"
    }
    assert managers["whisperfleet-operator"] is False


def _same(now: Json, before: Json, edit: Json) -> bool:
    """Whether the edited fields are as they were."""
    return all(_at(now, path) == _at(before, path) for path in _leaves(edit))


def _leaves(edit: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if isinstance(edit, dict):
        return [leaf for key, value in edit.items() for leaf in _leaves(value, (*path, key))]
    return [path]


def _at(obj: Any, path: tuple[str, ...]) -> Any:
    for field in path:
        obj = obj.get(field, {})
    return obj

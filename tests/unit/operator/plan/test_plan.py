"""What there should be, in which order, and what should go."""

import json
from typing import Any

import pytest

from support.operator.samples import UID, changed, full, minimal, planned, read
from whisperfleet_operator.plan import ChildRef, Observed, SecretNeed, make_plan
from whisperfleet_operator.plan.needs import secret_needs

CREDENTIALS = "spec.queue.redis.credentials"
KINDS = {"ServiceAccount", "NetworkPolicy", "PodDisruptionBudget", "Deployment", "ScaledObject"}


def kinds(manifests: tuple[dict[str, Any], ...]) -> list[str]:
    return [manifest["kind"] for manifest in manifests]


def test_a_new_service_gets_everything() -> None:
    plan = make_plan(read(minimal()), Observed())
    assert kinds(plan.create) == ["Deployment"]
    assert set(kinds(plan.apply + plan.autoscale)) == KINDS
    assert kinds(plan.autoscale) == ["ScaledObject"]
    assert plan.delete == ()


def test_what_is_there_is_not_created_again() -> None:
    first = make_plan(read(minimal()), Observed())
    second = make_plan(read(minimal()), Observed(children=first.wanted))
    assert second.create == ()
    assert second.apply == first.apply
    assert second.autoscale == first.autoscale
    assert second.delete == ()


def test_a_deployment_that_was_deleted_is_created_before_it_is_applied() -> None:
    wanted = make_plan(read(minimal()), Observed()).wanted
    left = frozenset(child for child in wanted if child.kind != "Deployment")
    assert kinds(make_plan(read(minimal()), Observed(children=left)).create) == ["Deployment"]


def test_children_of_a_pool_that_was_renamed_go() -> None:
    before = make_plan(read(minimal()), Observed()).wanted
    renamed = read(changed(minimal(), "spec.pools.0.name", "other"))
    plan = make_plan(renamed, Observed(children=before))
    assert set(plan.delete) == before
    assert {child.name for child in plan.wanted} == {"calls-other"}


def test_what_the_service_no_longer_needs_goes() -> None:
    before = make_plan(read(full()), Observed()).wanted
    resource = changed(full(), "spec.queue.redis.credentials", None)
    after = changed(resource, "spec.queue.redis.tls", None)
    assert make_plan(read(after), Observed(children=before)).delete == (
        ChildRef("keda.sh/v1alpha1", "TriggerAuthentication", "calls-spot"),
    )


@pytest.mark.parametrize("resource", [minimal(), full()], ids=["minimal", "full"])
def test_every_child_is_named_labelled_and_owned_alike(resource: dict[str, Any]) -> None:
    service = read(resource)
    pool = service.spec.pools[0].name
    plan = planned(service, "v1")
    for manifest in (*plan.create, *plan.apply, *plan.autoscale):
        metadata = manifest["metadata"]
        assert metadata["name"] == f"calls-{pool}"
        assert metadata["namespace"] == "team-a"
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "whisperfleet-operator"
        assert metadata["labels"]["whisperfleet.io/service"] == "calls"
        assert metadata["labels"]["whisperfleet.io/pool"] == pool
        assert [owner["uid"] for owner in metadata["ownerReferences"]] == [UID]


def empty_values(value: Any, path: str) -> list[str]:
    if value is None or value == "":
        return [path]
    if isinstance(value, dict):
        return [
            found for name, each in value.items() for found in empty_values(each, f"{path}.{name}")
        ]
    if isinstance(value, list):
        return [
            found for i, each in enumerate(value) for found in empty_values(each, f"{path}[{i}]")
        ]
    return []


@pytest.mark.parametrize("resource", [minimal(), full()], ids=["minimal", "full"])
def test_nothing_is_applied_that_the_api_server_would_forget(resource: dict[str, Any]) -> None:
    plan = planned(read(resource), "v1")
    for manifest in (*plan.create, *plan.apply, *plan.autoscale):
        assert empty_values(manifest, manifest["kind"]) == []


@pytest.mark.parametrize("resource", [minimal(), full()], ids=["minimal", "full"])
def test_manifests_are_json(resource: dict[str, Any]) -> None:
    plan = planned(read(resource), "v1")
    for manifest in (*plan.create, *plan.apply, *plan.autoscale):
        assert json.loads(json.dumps(manifest)) == manifest


@pytest.mark.parametrize(
    ("redis", "needs"),
    [
        ({"url": "redis://redis"}, ()),
        (
            {"url": "redis://redis", "credentials": {"secretName": "account"}},
            (SecretNeed("account", CREDENTIALS, ("password",), ("username",)),),
        ),
        (
            {
                "url": "rediss://redis",
                "credentials": {"secretName": "account"},
                "tls": {"caSecretName": "authority"},
            },
            (
                SecretNeed("account", CREDENTIALS, ("password",), ("username",)),
                SecretNeed("authority", "spec.queue.redis.tls", ("ca.crt",)),
            ),
        ),
    ],
)
def test_the_secrets_that_others_make(redis: dict[str, Any], needs: tuple[SecretNeed, ...]) -> None:
    service = read(changed(minimal(), "spec.queue.redis", redis))
    assert secret_needs(service.spec.queue.redis) == needs

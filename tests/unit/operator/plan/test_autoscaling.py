"""KEDA's objects: wake and sleep on the sum of what is not done."""

from typing import Any

import pytest

from support.operator.samples import changed, full, minimal, read
from whisperfleet_operator.plan import Observed, make_plan


def keda(resource: dict[str, Any], kind: str = "ScaledObject") -> dict[str, Any]:
    plan = make_plan(read(resource), Observed())
    (found,) = (each for each in plan.autoscale if each["kind"] == kind)
    return found


def triggers(resource: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = keda(resource)["spec"]["triggers"]
    return found


@pytest.mark.parametrize("resource", [minimal(), full()], ids=["minimal", "full"])
def test_the_measure_is_the_sum_of_all_streams(resource: dict[str, Any]) -> None:
    service = read(resource)
    streams = [each["metadata"]["stream"] for each in triggers(resource)]
    assert streams == [stream.key for stream in service.streams]
    modifiers = keda(resource)["spec"]["advanced"]["scalingModifiers"]
    assert modifiers["formula"].split(" + ") == [each["name"] for each in triggers(resource)]
    assert modifiers["target"] == str(service.spec.backlog_per_replica)
    assert modifiers["metricType"] == "AverageValue"


@pytest.mark.parametrize("resource", [minimal(), full()], ids=["minimal", "full"])
def test_a_trigger_is_xlen_and_has_a_name_that_a_formula_can_read(resource: dict[str, Any]) -> None:
    for trigger in triggers(resource):
        assert trigger["type"] == "redis-streams"
        assert not trigger["metadata"].keys() & {"consumerGroup", "lagCount"}
        assert trigger["name"].isidentifier()
        assert all(isinstance(value, str) for value in trigger["metadata"].values())


def test_a_service_without_tenants_has_a_trigger_for_each_priority() -> None:
    assert [each["name"] for each in triggers(minimal())] == ["in_high", "in_normal", "in_low"]


def test_a_tenants_own_streams_count_too() -> None:
    resource = changed(minimal(), "spec.queue.tenants", ["globex", "acme-eu"])
    queue = "wf:{team-a.calls}:in"
    assert {each["name"]: each["metadata"]["stream"] for each in triggers(resource)} == {
        "in_high": f"{queue}:high",
        "in_normal": f"{queue}:normal",
        "in_low": f"{queue}:low",
        "in_high_T_acme_2deu": f"{queue}:high:acme-eu",
        "in_normal_T_acme_2deu": f"{queue}:normal:acme-eu",
        "in_low_T_acme_2deu": f"{queue}:low:acme-eu",
        "in_high_T_globex": f"{queue}:high:globex",
        "in_normal_T_globex": f"{queue}:normal:globex",
        "in_low_T_globex": f"{queue}:low:globex",
    }
    formula = keda(resource)["spec"]["advanced"]["scalingModifiers"]["formula"]
    assert formula.split(" + ") == [each["name"] for each in triggers(resource)]
    without = changed(minimal(), "spec.queue.tenants", [])
    assert keda(without) == keda(minimal())


def test_no_two_streams_share_a_trigger() -> None:
    """Whatever a priority and a tenant may be called."""
    names = ["a", "A", "a-b", "a_b", "a.b", "a--b", "a_2db", "T", "a_T_b", "T-a", "a__b", "2d"]
    priorities = [{"name": name, "weight": 1} for name in ("a", "a-t", "a-t-a", "a-2d", "a--a")]
    resource = changed(minimal(), "spec.queue.priorities", priorities)
    resource = changed(resource, "spec.queue.tenants", names)
    found = [each["name"] for each in triggers(resource)]
    assert len(found) == len(priorities) * (len(names) + 1) == len(set(found))
    assert all(name.isidentifier() and name.isascii() for name in found)


def test_one_stream_has_its_formula_too() -> None:
    resource = changed(minimal(), "spec.queue.priorities", [{"name": "all", "weight": 1}])
    assert keda(resource)["spec"]["advanced"]["scalingModifiers"]["formula"] == "in_all"


def test_the_address_is_the_workers_own() -> None:
    assert {each["metadata"]["address"] for each in triggers(minimal())} == {
        "redis.team-a.svc:6379"
    }
    assert all("enableTLS" not in each["metadata"] for each in triggers(minimal()))
    for trigger in triggers(full()):
        assert trigger["metadata"]["address"] == "redis.example.org:6380"
        assert trigger["metadata"]["databaseIndex"] == "3"
        assert trigger["metadata"]["enableTLS"] == "true"


def test_keda_is_let_in_as_the_workers_are() -> None:
    assert keda(full(), "TriggerAuthentication")["spec"]["secretTargetRef"] == [
        {"parameter": "username", "name": "redis", "key": "username"},
        {"parameter": "password", "name": "redis", "key": "password"},
        {"parameter": "ca", "name": "redis-ca", "key": "ca.crt"},
    ]
    assert all(each["authenticationRef"] == {"name": "calls-spot"} for each in triggers(full()))
    assert all("authenticationRef" not in each for each in triggers(minimal()))


def test_the_times_and_numbers_are_those_of_the_service() -> None:
    spec = keda(full())["spec"]
    assert (spec["minReplicaCount"], spec["maxReplicaCount"]) == (1, 8)
    assert (spec["pollingInterval"], spec["cooldownPeriod"]) == (1, 300)
    assert spec["initialCooldownPeriod"] == 300
    assert spec["scaleTargetRef"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "name": "calls-spot",
    }
    asked = full()["spec"]["pools"][0]["behavior"]
    assert spec["advanced"]["horizontalPodAutoscalerConfig"] == {"behavior": asked}
    assert "horizontalPodAutoscalerConfig" not in keda(minimal())["spec"]["advanced"]


def test_nothing_else_is_left_to_a_fallback() -> None:
    assert "fallback" not in keda(full())["spec"]
    assert "idleReplicaCount" not in keda(full())["spec"]


def test_suspend_pauses_at_no_pods() -> None:
    assert keda(full())["metadata"]["annotations"] == {"autoscaling.keda.sh/paused-replicas": "0"}
    awake = keda(changed(full(), "spec.suspend", False))
    assert "annotations" not in awake["metadata"]
    assert awake["spec"] == keda(full())["spec"]

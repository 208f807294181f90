"""Tenants with streams of their own: they wake the fleet, are counted, and may go."""

from typing import Any

import pytest
import redis

from support.operator.reconciling import World
from whisperfleet_operator.kube.kinds import SCALED_OBJECT

JOB = {"url": "https://example.org/a.wav"}
# Longer than a sample is fresh, and shorter than KEDA may take to wake the fleet.
SOON = 4.0


def apply(world: World, *tenants: str) -> None:
    world.apply(queue={"redis": {"url": world.settings.url}, "tenants": list(tenants)})


@pytest.fixture
def shared(world: World) -> World:
    """A service with the tenants acme and globex, at rest."""
    apply(world, "acme", "globex")
    world.reconcile()
    world.keda_says(Ready="True", Active="False", Paused="False")
    world.reconcile()
    assert world.ready() == ("True", "Idle")
    return world


def streams_of(world: World) -> set[str]:
    return {stream["name"] for stream in world.service()["status"]["queue"]["streams"]}


def watched(world: World) -> set[str]:
    triggers = world.child(SCALED_OBJECT)["spec"]["triggers"]
    return {trigger["metadata"]["stream"] for trigger in triggers}


def told(world: World) -> Any:
    """Return what the workers are told of tenants."""
    (worker,) = world.child()["spec"]["template"]["spec"]["containers"]
    return {each["name"]: each.get("value") for each in worker["env"]}.get("WHISPERFLEET_TENANTS")


def all_streams(world: World, *tenants: str) -> set[str]:
    return {
        world.keys.stream(priority, tenant)
        for priority in ("high", "normal", "low")
        for tenant in (None, *tenants)
    }


def test_a_tenants_streams_are_made_watched_and_counted(shared: World, queue: redis.Redis) -> None:
    wanted = all_streams(shared, "acme", "globex")
    assert streams_of(shared) == watched(shared) == wanted
    assert queue.exists(*wanted) == len(wanted)
    assert told(shared) == "acme,globex"
    queue.xadd(shared.keys.stream("low", "globex"), JOB)
    shared.reconcile(SOON)
    depths = shared.service()["status"]["queue"]
    assert (depths["queued"], depths["running"]) == (1, 0)
    assert depths["oldestEnqueueTime"]
    assert {each["tenant"] for each in depths["streams"] if "tenant" in each} == {"acme", "globex"}
    assert shared.ready() == ("True", "ScalingUp")


def test_the_order_of_tenants_is_no_change_of_the_pods(shared: World) -> None:
    shared.writes()
    apply(shared, "globex", "acme")
    shared.reconcile(SOON)
    assert "apply Deployment" not in shared.writes()
    assert told(shared) == "acme,globex"


def test_a_tenant_without_jobs_goes_at_once(shared: World) -> None:
    apply(shared, "globex")
    shared.reconcile(SOON)
    assert streams_of(shared) == watched(shared) == all_streams(shared, "globex")
    assert told(shared) == "globex"
    assert shared.condition("Degraded")[:2] == ("False", "AsExpected")


def test_a_tenant_with_jobs_is_served_and_named_until_they_are_done(
    shared: World, queue: redis.Redis
) -> None:
    stream = shared.keys.stream("normal", "acme")
    entry = queue.xadd(stream, JOB)
    apply(shared, "globex")
    shared.writes()
    for restarted in (False, True):
        if restarted:
            # What it knows of the tenant is in the status.
            shared.restart()
        shared.reconcile(SOON)
        assert streams_of(shared) == watched(shared) == all_streams(shared, "acme", "globex")
        assert told(shared) == "acme,globex"
        assert shared.service()["status"]["queue"]["queued"] == 1
        status, reason, message = shared.condition("Degraded")
        assert (status, reason) == ("False", "TenantRemoved")
        assert "acme" in message
        assert "globex" not in message
    assert "apply Deployment" not in shared.writes()
    assert shared.events().count("TenantRemoved") == 1

    # A worker has it: it is not done yet.
    queue.xreadgroup(shared.keys.group, "worker", {stream: ">"})
    shared.reconcile(SOON)
    assert told(shared) == "acme,globex"

    queue.xack(stream, shared.keys.group, entry)
    queue.xdel(stream, entry)
    shared.reconcile(SOON)
    assert streams_of(shared) == watched(shared) == all_streams(shared, "globex")
    assert told(shared) == "globex"
    assert shared.condition("Degraded")[:2] == ("False", "AsExpected")


def test_a_tenant_that_is_named_again_is_one_as_before(shared: World, queue: redis.Redis) -> None:
    queue.xadd(shared.keys.stream("normal", "acme"), JOB)
    apply(shared, "globex")
    shared.reconcile(SOON)
    assert shared.condition("Degraded")[1] == "TenantRemoved"
    apply(shared, "globex", "acme")
    shared.reconcile(SOON)
    assert shared.condition("Degraded")[1] == "AsExpected"
    assert streams_of(shared) == all_streams(shared, "acme", "globex")


def test_nobody_goes_while_redis_does_not_say_what_is_in_the_streams(
    shared: World, queue: redis.Redis
) -> None:
    queue.xadd(shared.keys.stream("normal", "acme"), JOB)
    # Another owner's: the operator may not look into it.
    queue.hset(shared.keys.meta, "owner", "somebody/else")
    apply(shared, "globex")
    shared.reconcile(120)
    assert shared.condition("QueueReachable")[1] == "QueueOwnedByAnother"
    assert streams_of(shared) == watched(shared) == all_streams(shared, "acme", "globex")
    assert told(shared) == "acme,globex"

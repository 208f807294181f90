"""Several pools of one service in one plan: nobody's jobs are counted twice."""

from math import ceil
from typing import Any

import pytest

from support.operator.samples import full, minimal, read
from whisperfleet_operator.plan import Credentials, Observed, Share, make_plan, wanted_children
from whisperfleet_operator.plan.autoscaling import wanted_pods
from whisperfleet_operator.plan.shares import shares
from whisperfleet_operator.resource import TranscriptionService
from whisperfleet_operator.resource.model import ModelSpec
from whisperfleet_operator.resource.pools import Pool
from whisperfleet_operator.resource.worker import WorkerSpec


class OwnModel(Pool):
    """A pool with parts of the spec of its own, as a later version's schema may let in."""

    model: ModelSpec | None = None
    worker: WorkerSpec | None = None


def pool(name: str, most: int, **own: Any) -> OwnModel:
    return OwnModel.model_validate({"name": name, "replicas": {"max": most}, **own})


def with_pools(resource: dict[str, Any], *pools: Pool) -> TranscriptionService:
    service = read(resource)
    spec = service.spec.model_copy(update={"pools": pools})
    return service.model_copy(update={"spec": spec})


def targets(service: TranscriptionService, jobs: int) -> list[int]:
    """Return how many pods each pool's autoscaler asks for."""
    return [
        wanted_pods(service.spec_of(pool), pool, share.jobs(jobs), 0)
        for pool, share in shares(service)
    ]


SIZES = [(4,), (4, 2), (1, 1, 8), (3, 1, 2)]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_the_pools_ask_together_for_what_one_pool_would_ask(sizes: tuple[int, ...]) -> None:
    pools = [pool(f"p{number}", most) for number, most in enumerate(sizes)]
    service = with_pools(minimal(), *pools)
    each = service.spec.backlog_per_replica
    for jobs in range(each * (sum(sizes) + 2)):
        asked = targets(service, jobs)
        assert sum(asked) == min(sum(sizes), ceil(jobs / each))
        assert all(pods <= most for pods, most in zip(asked, sizes, strict=True))


def test_a_pool_wakes_once_those_before_it_are_full() -> None:
    service = with_pools(minimal(), pool("first", 2), pool("second", 2))
    full_at = 2 * service.spec.backlog_per_replica
    assert targets(service, 1) == [1, 0]
    assert targets(service, full_at) == [2, 0]
    assert targets(service, full_at + 1) == [2, 1]


def test_keda_computes_the_same_shares() -> None:
    service = with_pools(minimal(), pool("first", 2), pool("second", 2))
    plan = make_plan(service, Observed())
    scalers = [each for each in plan.autoscale if each["kind"] == "ScaledObject"]
    sums = [" + ".join(trigger["name"] for trigger in each["spec"]["triggers"]) for each in scalers]
    above = 2 * service.spec.backlog_per_replica
    # With the integer 0 KEDA refuses the formula wherever the queue is small enough.
    assert [each["spec"]["advanced"]["scalingModifiers"]["formula"] for each in scalers] == [
        sums[0],
        f"max({sums[1]} - {above}, 0.0)",
    ]


def test_one_pool_counts_everything() -> None:
    assert [share for _, share in shares(read(full()))] == [Share()]
    assert Share().formula(["in_a", "in_b"]) == "in_a + in_b"


@pytest.mark.parametrize("resource", [minimal(), full()], ids=["minimal", "full"])
def test_every_pool_has_all_children_and_nothing_else_is_wanted(resource: dict[str, Any]) -> None:
    service = with_pools(resource, pool("a", 2), pool("b", 1))
    plan = make_plan(service, Observed())
    assert plan.wanted == wanted_children(service)
    by_pool = [
        {(ref.api_version, ref.kind) for ref in plan.wanted if ref.name == name}
        for name in ("calls-a", "calls-b")
    ]
    assert by_pool[0] == by_pool[1]
    assert len(plan.wanted) == 2 * len(by_pool[0])


def test_what_a_pool_says_itself_holds_for_its_pods_alone() -> None:
    light = {"image": "example/worker:0.1.0-base"}
    own = pool("light", 3, model=light, worker={"drainSeconds": 7, "maxInFlight": 4})
    service = with_pools(minimal(), pool("main", 2), own)
    plan = make_plan(service, Observed())
    main, lighter = (
        each["spec"]["template"]["spec"] for each in plan.apply if each["kind"] == "Deployment"
    )
    assert main["containers"][0]["image"] == service.spec.model.image
    assert lighter["containers"][0]["image"] == light["image"]
    grace = "terminationGracePeriodSeconds"
    assert main[grace] - lighter[grace] == service.spec.worker.drain_seconds - 7
    born = [each["spec"]["template"]["spec"]["containers"][0]["image"] for each in plan.create]
    assert born == [service.spec.model.image, light["image"]]


def test_a_pool_without_parts_of_its_own_has_the_services() -> None:
    service = with_pools(minimal(), pool("main", 2))
    assert service.spec_of(service.spec.pools[0]) is service.spec


def test_each_pool_keeps_the_credentials_that_it_runs_with() -> None:
    service = with_pools(full(), pool("a", 2), pool("b", 1))
    credentials = {"a": Credentials("old", "new"), "b": Credentials("new")}
    plan = make_plan(service, Observed(credentials=credentials))
    deployments = [each for each in plan.apply if each["kind"] == "Deployment"]
    pods = [each["spec"]["template"]["metadata"]["annotations"] for each in deployments]
    assert [each["whisperfleet.io/credentials"] for each in pods] == ["old", "new"]
    assert ["annotations" in each["metadata"] for each in deployments] == [True, False]

"""Whoever takes a pod away takes no job with it."""

import time
from collections.abc import Callable

import pytest

from hack.testbed import Testbed
from support.cluster.fleet import Fleet, Shape
from support.cluster.kube import until
from support.cluster.node import asked, audited
from whisperfleet.client import Cancelled
from whisperfleet.contract.states import State

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900, func_only=True)]

HAND_OVER_SECONDS = 5.0


def test_a_job_longer_than_the_cooldown_keeps_its_pod(
    make_fleet: Callable[[Shape], Fleet], report_figure: Callable[[str], None]
) -> None:
    fleet = make_fleet(Shape(cooldown_seconds=3, gated=True))
    fleet.submit_gated("call-1")
    fleet.wait_until_begun("call-1")
    pod = fleet.pod_of("call-1")["metadata"]["name"]

    long = time.monotonic() + 5 * fleet.shape.cooldown_seconds
    while time.monotonic() < long:
        assert fleet.replicas() == 1
        assert [one["metadata"]["name"] for one in fleet.pods()] == [pod]
        time.sleep(0.5)
    fleet.open_gates("call-1")

    fleet.assert_done("call-1")
    status = fleet.status("call-1")
    assert (status.epoch, status.deliveries, status.releases) == (1, 1, 0)
    fleet.wait_until_asleep()
    fleet.assert_invariants(accepted=1)
    took = (status.finished_at - status.claimed_at).total_seconds()
    report_figure(f"a job of {took:.1f} s outlived a cooldown of {fleet.shape.cooldown_seconds} s")


def cancel_one_on_each(fleet: Fleet, job_ids: list[str]) -> list[str]:
    """Stop jobs until each worker has one; return those that go on."""
    left: dict[str, str] = {}
    for job_id in job_ids:
        worker = fleet.status(job_id).worker
        if worker in left:
            assert fleet.client.cancel(job_id) is Cancelled.RUNNING
        else:
            left[worker] = job_id
    return list(left.values())


@pytest.mark.alone
def test_what_an_hpa_takes_away_is_handed_back_and_done_elsewhere(
    make_fleet: Callable[[Shape], Fleet],
    testbed: Testbed,
    report_figure: Callable[[str], None],
) -> None:
    """Two pods with two jobs each; when each has one left, the HPA takes a busy pod away."""
    fleet = make_fleet(Shape(max_pods=2, in_flight=2, jobs_per_pod=2, drain_seconds=1, gated=True))
    jobs = [f"call-{number}" for number in range(4)]
    fleet.submit_gated(*jobs)
    fleet.wait_until_begun(*jobs)
    assert len({fleet.status(job).worker for job in jobs}) == 2
    before = {job: (fleet.status(job).worker, fleet.pod_of(job)) for job in jobs}

    left = cancel_one_on_each(fleet, jobs)
    moved = until(
        lambda: next((job for job in left if fleet.status(job).epoch == 2), None),
        "a job is handed back and begun elsewhere",
        60,
    )
    fleet.open_gates(moved)
    fleet.assert_done(moved)
    (stayed,) = {*left} - {moved}
    fleet.open_gates(stayed)
    fleet.assert_done(stayed)

    after = fleet.status(moved)
    assert after.worker == fleet.status(stayed).worker == before[stayed][0]
    assert (after.releases, after.deliveries, fleet.status(stayed).epoch) == (1, 1, 1)
    states = fleet.assert_invariants(accepted=4).states
    assert states == {State.DONE: 2, State.CANCELLED: 2}
    lost = before[moved][1]["metadata"]["name"]
    deletions = audited(testbed, fleet.namespace, "pods", "delete")
    told = asked(next(d for d in deletions if d["objectRef"]["name"] == lost))
    begun = (after.claimed_at - told).total_seconds()
    finished = (after.finished_at - told).total_seconds()
    assert finished < HAND_OVER_SECONDS
    fleet.wait_until_asleep()
    report_figure(
        f"a pod taken away by the HPA: its job was begun elsewhere {begun:.2f} s after the pod's "
        f"deletion and done after {finished:.2f} s"
    )

"""Killed workers, a killed Redis, a kubelet and a KEDA that restart: nothing is lost, all wake."""

import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from hack.testbed import Testbed
from support.cluster.fleet import IDLE, Fleet, Shape, activity
from support.cluster.kube import Kube, condition, until
from support.cluster.node import asked, kill_container, scalings
from support.cluster.stranding import NEW, restart_redis, strand

pytestmark = [
    pytest.mark.cluster,
    # More than the waits of any test add up to, so that the one that is in vain is named.
    pytest.mark.timeout(900, func_only=True),
    pytest.mark.usefixtures("testbed"),
]

MakeFleet = Callable[[Shape], Fleet]

# So often KEDA overlooks a backlog, in the demonstration of docs/adr/0005.
LOOKS = 20


def test_a_killed_workers_job_is_taken_up_again(
    make_fleet: MakeFleet, kube: Kube, report_figure: Callable[[str], None]
) -> None:
    fleet = make_fleet(Shape(max_pods=1, gated=True))
    fleet.submit_gated("call-1")
    fleet.wait_until_begun("call-1")
    before = fleet.status("call-1")

    killed = time.time()
    kill_container(kube, fleet.pod_of("call-1")["metadata"]["name"], fleet.namespace)
    fleet.wait_until_begun("call-1", epoch=2)
    after = fleet.status("call-1")
    fleet.open_gates("call-1")

    fleet.assert_done("call-1")
    assert after.worker != before.worker
    assert after.deliveries == 2
    fleet.wait_until_asleep()
    fleet.assert_invariants(accepted=1)
    again = after.claimed_at.timestamp() - killed
    lease = fleet.lease_seconds()
    report_figure(
        f"a killed worker's job was begun again {again:.1f} s later (a lease is {lease:g} s)"
    )


@pytest.mark.alone
def test_a_kubelet_that_restarts_stops_no_job(make_fleet: MakeFleet, testbed: Testbed) -> None:
    fleet = make_fleet(Shape(gated=True))
    fleet.submit_gated("call-1")
    fleet.wait_until_begun("call-1")

    testbed.restart("kubelet")
    fleet.open_gates("call-1")

    fleet.assert_done("call-1")
    assert fleet.status("call-1").epoch == 1
    fleet.wait_until_asleep()
    fleet.submit_gated("call-2")
    fleet.open_gates("call-2")
    fleet.assert_done("call-2")
    fleet.wait_until_asleep()
    fleet.assert_invariants(accepted=2)


@pytest.mark.alone
def test_a_keda_that_restarts_stops_no_job_and_hears_what_it_missed(
    make_fleet: MakeFleet, testbed: Testbed
) -> None:
    fleet = make_fleet(Shape(cooldown_seconds=3, gated=True))
    fleet.submit_gated("call-1")
    fleet.wait_until_begun("call-1")

    testbed.restart("keda-operator")
    testbed.restart("keda-metrics")
    long = time.monotonic() + 3 * fleet.shape.cooldown_seconds
    while time.monotonic() < long:
        assert fleet.replicas() == 1
        time.sleep(0.5)
    fleet.open_gates("call-1")
    fleet.assert_done("call-1")
    assert fleet.status("call-1").epoch == 1
    fleet.wait_until_asleep()

    testbed.kill("keda-operator", signal.SIGKILL)
    try:
        fleet.submit_gated("call-2")
    finally:
        testbed.restart("keda-operator")
    fleet.open_gates("call-2")
    fleet.assert_done("call-2")
    fleet.wait_until_asleep()
    fleet.assert_invariants(accepted=2)


def test_a_killed_redis_with_a_backlog_wakes_the_fleet_and_loses_nothing(
    make_fleet: MakeFleet,
) -> None:
    fleet = make_fleet(Shape(gated=True, drain_seconds=1))
    jobs = strand(fleet)

    restart_redis(fleet)
    assert fleet.raw.xlen(fleet.keys.stream("normal")) == len(jobs)
    fleet.open_gates(*jobs)
    fleet.resume()

    fleet.assert_done(*jobs)
    fleet.wait_until_asleep()
    fleet.assert_invariants(accepted=len(jobs))


def test_a_redis_killed_under_an_awake_keda_wakes_the_fleet_and_loses_nothing(
    make_fleet: MakeFleet, testbed: Testbed
) -> None:
    """Zero workers and a backlog that KEDA has not seen yet, when Redis is killed before its eyes.

    KEDA looks rarely enough for that, and with a connection to a server that is gone.
    """
    fleet = make_fleet(Shape(polling_seconds=15, gated=True))
    jobs = [*NEW]
    fleet.submit_gated(*jobs)
    assert fleet.replicas() == 0
    killed = datetime.now(UTC)

    restart_redis(fleet)

    fleet.open_gates(*jobs)
    fleet.assert_done(*jobs)
    woken = [asked(scaled) for scaled in scalings(testbed, fleet.namespace)]
    assert woken[0] > killed, "the fleet woke before Redis was killed: the test has shown nothing"
    assert [fleet.status(job).epoch for job in jobs] == [1, 1, 1]
    fleet.wait_until_asleep()
    fleet.assert_invariants(accepted=len(jobs))


def workers_group(fleet: Fleet) -> dict[str, Any]:
    """Return what Redis tells of the group that the jobs are read by."""
    groups = fleet.raw.xinfo_groups(fleet.keys.stream("normal"))
    return next(group for group in groups if group["name"].decode() == fleet.keys.group)


def looks_at_the_lag(fleet: Fleet) -> int:
    """Return how often this Redis has been asked for a group's lag: KEDA does so once a poll."""
    stats = fleet.raw.info("commandstats")
    return int(stats.get("cmdstat_xinfo|groups", {}).get("calls", 0))


def wait_for_idle_looks(fleet: Fleet, looks: int) -> None:
    """Return once KEDA has looked so often in a row and has found nothing to do.

    After a pause it may repeat what it said before it, active or not, until it has looked: the
    count starts anew whenever it says that there is work. A pod must not come at any time.
    """
    first = looks_at_the_lag(fleet)

    def has_looked() -> bool:
        nonlocal first
        assert fleet.replicas() == 0
        now = looks_at_the_lag(fleet)
        if activity(fleet.scaler()) != IDLE:
            first = now
        return now >= first + looks

    until(has_looked, f"KEDA has looked {looks} times", 10.0 * looks * fleet.shape.polling_seconds)


def test_lag_as_the_signal_sleeps_on_a_backlog(
    make_fleet: MakeFleet, report_figure: Callable[[str], None]
) -> None:
    """Why the signal is XLEN (docs/adr/0005): the same story, told to a fleet that scales on lag.

    It wakes for its first job. Then Redis is killed with a backlog, and from there on KEDA sees
    nothing to do for as long as anybody looks, until it is told to look at XLEN.
    """
    fleet = make_fleet(Shape(signal="scaledobject-lag.yaml", gated=True, drain_seconds=1))
    jobs = strand(fleet)
    stream = fleet.keys.stream("normal")
    told = workers_group(fleet)
    # What was handed back does not count.
    assert (told["lag"], fleet.raw.xlen(stream)) == (len(NEW), len(jobs))

    restart_redis(fleet)
    told = workers_group(fleet)
    assert (told["lag"], fleet.raw.xlen(stream)) == (None, len(jobs))
    fleet.open_gates(*jobs)
    fleet.resume()
    began = time.monotonic()
    wait_for_idle_looks(fleet, LOOKS)
    idle = time.monotonic() - began
    assert condition(fleet.scaler(), "Ready")["status"] == "True", "KEDA should see no fault"

    (xlen,) = fleet.manifest("scaledobject.yaml")
    fleet.kube.patch("ScaledObject", "worker", fleet.namespace, {"spec": xlen["spec"]})
    fleet.assert_done(*jobs)
    fleet.wait_until_asleep()
    fleet.assert_invariants(accepted=len(jobs))
    report_figure(
        f"a backlog of {len(jobs)} after a restart of Redis: by lag no pod in {LOOKS} polls "
        f"({idle:.0f} s), by XLEN all done"
    )

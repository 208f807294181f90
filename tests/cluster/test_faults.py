"""Killed workers, a killed Redis, a kubelet and a KEDA that restart: nothing is lost, all wake."""

import signal
import time
from collections.abc import Callable

import pytest

from cluster.fleet import IDLE, Fleet, Shape, activity
from cluster.kube import Kube, condition, until
from cluster.node import kill_container
from cluster.stranding import NEW, restart_redis, strand
from hack.testbed import Testbed

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(240, func_only=True),
    pytest.mark.usefixtures("testbed"),
]

MakeFleet = Callable[[Shape], Fleet]


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
    report_figure(f"a killed worker's job was begun again {again:.1f} s later (a lease is 6 s)")


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


def wait_until_idle_for(fleet: Fleet, polls: int) -> None:
    """Return once KEDA has said for so many polls in a row that there is nothing to do.

    It may first repeat what it said before it was paused; a pod must not come at any time.
    """
    since = time.monotonic()

    def long_idle() -> bool:
        nonlocal since
        assert fleet.replicas() == 0
        if activity(fleet.scaler()) != IDLE:
            since = time.monotonic()
        return time.monotonic() - since > polls * fleet.shape.polling_seconds

    until(long_idle, f"KEDA sees nothing to do for {polls} polls", 2.0 * polls)


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
    (told,) = fleet.raw.xinfo_groups(stream)
    # What was handed back does not count.
    assert (told["lag"], fleet.raw.xlen(stream)) == (len(NEW), len(jobs))

    restart_redis(fleet)
    (told,) = fleet.raw.xinfo_groups(stream)
    assert (told["lag"], fleet.raw.xlen(stream)) == (None, len(jobs))
    fleet.open_gates(*jobs)
    fleet.resume()
    wait_until_idle_for(fleet, polls=20)
    assert condition(fleet.scaler(), "Ready")["status"] == "True", "KEDA should see no fault"

    (xlen,) = fleet.manifest("scaledobject.yaml")
    fleet.kube.patch("ScaledObject", "worker", fleet.namespace, {"spec": xlen["spec"]})
    fleet.assert_done(*jobs)
    fleet.wait_until_asleep()
    fleet.assert_invariants(accepted=len(jobs))
    report_figure(
        f"a backlog of {len(jobs)} after a restart of Redis: by lag no pod for 20 polls, by XLEN "
        "all done"
    )

"""A fleet that sleeps wakes on what is in its streams, works it off and sleeps again."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import cycle

import pytest

from hack.chaos.invariants import check_books, read_events
from hack.chaos.plan import Kind
from hack.testbed import Testbed
from support.audio.files import clips
from support.cluster.clusters import Cluster
from support.cluster.fleet import Fleet, Shape, behind, moment
from support.cluster.kube import condition, until
from support.cluster.node import answered, asked, audited, scalings
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import DEFAULT_PRIORITIES
from whisperfleet.contract.states import State

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900, func_only=True)]

PRIORITIES = [priority.name for priority in DEFAULT_PRIORITIES]
# What waking may take beyond the interval at which KEDA looks.
WAKE_SECONDS = 2.0


@dataclass(frozen=True)
class Scheduled:
    """When a pod was given to a node, and how exactly that is known."""

    at: datetime
    source: str
    error_seconds: float


def first_scheduled(cluster: Cluster, fleet: Fleet) -> Scheduled:
    """Return when the fleet's first pod was scheduled; it must still be there."""
    if cluster.testbed:
        bindings = audited(cluster.testbed, fleet.namespace, "pods/binding", "create")
        first = next(b for b in bindings if b["objectRef"]["name"].startswith("worker-"))
        source = "to the millisecond, by the API server's audit log"
        return Scheduled(answered(first), source, error_seconds=0.0)
    oldest = min(fleet.pods(), key=lambda pod: pod["metadata"]["creationTimestamp"])
    at = datetime.fromisoformat(condition(oldest, "PodScheduled")["lastTransitionTime"])
    source = "to the second before, by the pod's conditions"
    return Scheduled(at, source, error_seconds=1.0)


def assert_slept_after_the_cooldown(testbed: Testbed, fleet: Fleet, finished_at: datetime) -> float:
    """Fail where pods were taken away before the cooldown had passed since KEDA last saw work.

    When it saw work it writes down, to the second before. Returns the seconds in between.
    """
    seen = [
        moment(event["requestObject"]["status"]["lastActiveTime"])
        for event in audited(testbed, fleet.namespace, "scaledobjects/status", "patch")
        if event["requestObject"].get("status", {}).get("lastActiveTime")
    ]
    *_, last = (
        asked(event)
        for event in scalings(testbed, fleet.namespace)
        if event["requestObject"]["spec"].get("replicas", 0) == 0
    )
    slept = (last - max(seen)).total_seconds()
    assert slept >= fleet.shape.cooldown_seconds
    assert last > finished_at
    return slept


@pytest.mark.alone
@pytest.mark.parametrize("priority", PRIORITIES)
def test_one_message_wakes_the_fleet_and_then_it_sleeps_again(
    make_fleet: Callable[[Shape], Fleet],
    cluster: Cluster,
    report_figure: Callable[[str], None],
    priority: str,
) -> None:
    fleet = make_fleet(Shape())
    audio, words = clips()[0]

    job = fleet.client.submit(Job(audio=audio), priority)
    until(fleet.pods, "a pod is made")
    fleet.wait_until_awake()
    scheduled = first_scheduled(cluster, fleet)
    result = fleet.results([job])[job]

    assert result.state is State.DONE, result.error
    assert result.transcript.text == words
    status = fleet.status(job)
    wake = (scheduled.at - status.enqueued_at).total_seconds()
    # A pod from before the message would make a negative wait.
    assert -scheduled.error_seconds <= wake <= fleet.shape.polling_seconds + WAKE_SECONDS
    fleet.wait_until_asleep()
    fleet.assert_invariants(accepted=1)
    whole = (status.finished_at - status.enqueued_at).total_seconds()
    if cluster.testbed:
        slept = assert_slept_after_the_cooldown(cluster.testbed, fleet, status.finished_at)
        report_figure(
            f"{priority}: to zero {slept:.1f} s after KEDA last saw work (the cooldown is "
            f"{fleet.shape.cooldown_seconds} s)"
        )
    report_figure(
        f"{priority}: from XADD at zero replicas {wake:.3f} s to a scheduled pod "
        f"({scheduled.source}; polled every {fleet.shape.polling_seconds} s), "
        f"{whole:.1f} s to the words"
    )


def test_no_pod_is_there_before_the_first_message(
    make_fleet: Callable[[Shape], Fleet], cluster: Cluster
) -> None:
    """Also none that came and went: creating a fleet buys no GPU."""
    fleet = make_fleet(Shape())
    assert fleet.replicas() == 0
    assert not fleet.pods()
    if cluster.testbed:
        bindings = audited(cluster.testbed, fleet.namespace, "pods/binding", "create")
        assert [event["objectRef"]["name"] for event in bindings] == ["redis-0"]


def test_200_jobs_take_several_pods_and_leave_none(
    make_fleet: Callable[[Shape], Fleet], report_figure: Callable[[str], None]
) -> None:
    fleet = make_fleet(Shape(max_pods=3, in_flight=2, jobs_per_pod=4, gated=True))
    sent = {priority: list[Job]() for priority in PRIORITIES}
    said = {}
    for number, (audio, words), priority in zip(
        range(200), cycle(clips()), cycle(PRIORITIES), strict=False
    ):
        said[f"call-{number}"] = words
        sent[priority].append(Job(id=f"call-{number}", audio=audio, metadata=behind("all")))

    for priority, jobs in sent.items():
        fleet.client.submit_many(jobs, priority)
    # A quick worker alone would else have done them all before the next one has its model.
    fleet.wait_until_awake(2)
    fleet.open_gates("all")
    results = fleet.results(list(said), seconds=400)

    assert {job_id: result.transcript.text for job_id, result in results.items()} == said
    workers = Counter(fleet.status(job_id).worker for job_id in said)
    assert len(workers) > 1, "one pod did all the work"
    fleet.wait_until_asleep()
    books = check_books(fleet.raw, fleet.keys, dict.fromkeys(said, Kind.HEALTHY))
    assert books.violations == ()
    assert books.states == {State.DONE: 200}
    epochs = sum(event.epoch for event in read_events(fleet.raw, fleet.keys))
    report_figure(
        f"200 jobs: done by {len(workers)} workers, {sorted(workers.values())} each; the epochs "
        f"add up to {epochs}"
    )

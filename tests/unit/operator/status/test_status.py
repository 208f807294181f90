"""From what was seen to conditions, dates, depths and Events."""

from datetime import timedelta
from typing import Any

import pytest

from support.operator.world import (
    NOW,
    deployment,
    pod,
    sample,
    scaled_object,
    service,
    service_object,
    waiting_pod,
)
from whisperfleet_operator.kube import Object
from whisperfleet_operator.observe import Keda, Observation, PoolView, Problem
from whisperfleet_operator.reporting import merge_patch
from whisperfleet_operator.resource import (
    ConditionType,
    Reason,
    TranscriptionService,
    TranscriptionServiceStatus,
)
from whisperfleet_operator.status import (
    events_between,
    invalid_status,
    parse_status,
    reconcile_disabled_status,
    service_status,
)

READY, QUEUE, DURABLE = (
    ConditionType.READY,
    ConditionType.QUEUE_REACHABLE,
    ConditionType.QUEUE_DURABLE,
)
SCALER, WORKERS, DEGRADED = (
    ConditionType.AUTOSCALER_READY,
    ConditionType.WORKERS_AVAILABLE,
    ConditionType.DEGRADED,
)
NOTHING = TranscriptionServiceStatus()
UNREACHABLE = Problem(Reason.QUEUE_UNREACHABLE, "Redis at redis://redis:6379/0 cannot be reached")
TAKEN = Problem(Reason.NAME_TAKEN, "the Deployment calls-main exists and is not this service's")
NO_SECRET = Problem(Reason.SECRET_MISSING, "the Secret redis does not exist")
NO_GPU = waiting_pod(status="False", message="1 Insufficient nvidia.com/gpu")


def see(replicas=0, pods=(), scaler=None, **changes: Any) -> Observation:
    """Return a service at rest, but for the changes."""
    view = PoolView(
        service().spec.pools[0],
        deployment(replicas),
        scaled_object(Ready="True") if scaler is None else scaler,
        tuple(pods),
    )
    rest: dict[str, Any] = {
        "pools": (view,),
        "keda": Keda.READY,
        "sample": sample(),
        "queue_problem": None,
        "problems": (),
    }
    return Observation(**rest | changes)


def annotated(name: str, value: str, **conditions: str) -> Object:
    scaler = scaled_object(Ready="True", **conditions)
    scaler["metadata"]["annotations"] = {name: value}
    return scaler


def status_of(before=NOTHING, now=NOW, suspend=False, **seen: Any) -> TranscriptionServiceStatus:
    return service_status(service(suspend=suspend), see(**seen), before, now)


def said(status: TranscriptionServiceStatus) -> dict[ConditionType, tuple[str, Reason]]:
    return {each.type: (str(each.status), each.reason) for each in status.conditions}


def test_a_service_at_rest_is_ready_and_idle():
    status = status_of()
    assert said(status) == {
        READY: ("True", Reason.IDLE),
        QUEUE: ("True", Reason.AS_EXPECTED),
        DURABLE: ("True", Reason.AS_EXPECTED),
        SCALER: ("True", Reason.AS_EXPECTED),
        WORKERS: ("True", Reason.IDLE),
        DEGRADED: ("False", Reason.AS_EXPECTED),
    }
    (durable,) = (each for each in status.conditions if each.type is DURABLE)
    assert "may still lose its last second or two where appendfsync is everysec" in durable.message
    assert status.observed_generation == 3
    assert all(each.observed_generation == 3 for each in status.conditions)
    assert (status.model, status.replicas) == ("0.1.0-turbo", "0/0")
    assert [stream.name for stream in status.queue.streams] == [
        f"wf:{{team-a.calls}}:in:{priority}" for priority in ("high", "normal", "low")
    ]


@pytest.mark.parametrize(
    ("seen", "ready", "degraded"),
    [
        # What passes by itself leaves Ready alone.
        (
            {"replicas": 1, "pods": [waiting_pod()], "sample": sample(queued=1)},
            ("True", Reason.POD_STARTING),
            "False",
        ),
        ({"replicas": 1, "pods": [NO_GPU]}, ("False", Reason.NO_GPU_AVAILABLE), "True"),
        # Half a fleet works, and somebody should know about the other half.
        ({"replicas": 2, "pods": [pod(), NO_GPU]}, ("True", Reason.NO_GPU_AVAILABLE), "True"),
        ({"suspend": True}, ("False", Reason.SUSPENDED), "False"),
        (
            {"sample": None, "queue_problem": UNREACHABLE},
            ("False", Reason.QUEUE_UNREACHABLE),
            "True",
        ),
        ({"sample": None}, ("Unknown", Reason.PENDING), "False"),
        ({"keda": Keda.MISSING}, ("False", Reason.KEDA_MISSING), "True"),
        ({"keda": Keda.TOO_OLD}, ("False", Reason.KEDA_TOO_OLD), "True"),
        (
            {"scaler": scaled_object(Ready="False")},
            ("False", Reason.AUTOSCALER_FAILED),
            "True",
        ),
        (
            {"scaler": annotated("autoscaling.keda.sh/paused", "true", Paused="True")},
            ("False", Reason.AUTOSCALER_PAUSED),
            "True",
        ),
        # The annotation is what holds; the condition says that KEDA has noticed.
        (
            {"scaler": annotated("autoscaling.keda.sh/paused-replicas", "2")},
            ("False", Reason.AUTOSCALER_PAUSED),
            "True",
        ),
        (
            {"scaler": annotated("autoscaling.keda.sh/paused-scale-in", "")},
            ("False", Reason.AUTOSCALER_PAUSED),
            "True",
        ),
        (
            {"scaler": annotated("autoscaling.keda.sh/paused", "False")},
            ("True", Reason.IDLE),
            "False",
        ),
        (
            {"scaler": scaled_object(Ready="True", Paused="True")},
            ("Unknown", Reason.AUTOSCALER_PENDING),
            "False",
        ),
        (
            {"scaler": scaled_object(Ready="True", Paused="True"), "suspend": True},
            ("False", Reason.SUSPENDED),
            "False",
        ),
        ({"scaler": scaled_object()}, ("Unknown", Reason.AUTOSCALER_PENDING), "False"),
        ({"problems": (TAKEN,)}, ("False", Reason.NAME_TAKEN), "True"),
    ],
)
def test_ready_and_degraded_say_what_is_the_matter(seen, ready, degraded):
    status = said(status_of(**seen))
    assert status[READY] == ready
    assert status[DEGRADED][0] == degraded


def test_a_condition_keeps_the_date_of_its_last_change_of_mind():
    first = status_of()
    later = NOW + timedelta(hours=1)
    still = status_of(first, later, replicas=1, pods=[waiting_pod()], sample=sample(queued=1))
    ready = {each.type: each for each in still.conditions}[READY]
    assert ready.reason is Reason.POD_STARTING
    assert ready.last_transition_time == NOW
    fallen = status_of(still, later, keda=Keda.MISSING)
    assert {each.type: each for each in fallen.conditions}[READY].last_transition_time == later


def test_a_redis_that_is_gone_leaves_what_was_last_known():
    before = status_of(sample=sample(queued=5, dead_letters=2, warnings=("appendonly is off",)))
    after = status_of(before, sample=None, queue_problem=UNREACHABLE)
    assert after.queue == before.queue
    assert said(after)[DURABLE] == said(before)[DURABLE] == ("False", Reason.QUEUE_NOT_DURABLE)


def later(seconds: float, **depths: Any) -> dict[str, Any]:
    return {"sample": sample(taken=NOW + timedelta(seconds=seconds), **depths)}


def test_depths_are_written_at_most_every_ten_seconds():
    before = status_of(sample=sample(queued=5))
    assert status_of(before, **later(9, queued=7)).queue.queued == 5
    assert status_of(before, **later(10, queued=7)).queue.queued == 7


def test_waking_sleeping_and_dead_letters_are_written_at_once():
    assert status_of(status_of(), **later(1, queued=1)).queue.queued == 1
    assert status_of(status_of(sample=sample(running=1)), **later(1)).queue.running == 0
    assert status_of(status_of(), **later(1, dead_letters=1)).queue.dead_letters == 1


def test_a_new_sample_of_the_same_depths_is_not_worth_a_write():
    before = status_of(sample=sample(queued=5))
    assert status_of(before, **later(3600, queued=5)) == before


def test_nothing_is_written_about_a_service_that_stays_as_it_is():
    status = status_of()
    stored = parse_status({"status": status.to_object()})
    again = status_of(stored, NOW + timedelta(minutes=5), **later(300))
    assert merge_patch(status.to_object(), again.to_object()) == {}


def at_generation(number: int) -> TranscriptionService:
    return TranscriptionService.from_object(
        {**service_object(), "metadata": {**service_object()["metadata"], "generation": number}}
    )


def generations_of(status: TranscriptionServiceStatus) -> dict[ConditionType, int]:
    """Return the generation that each condition is about."""
    return {each.type: each.observed_generation for each in status.conditions}


def test_a_service_that_is_left_alone_keeps_its_other_conditions():
    before = status_of(sample=sample(queued=5))
    status = reconcile_disabled_status(at_generation(9), before, NOW)
    assert said(status) == said(before) | {READY: ("Unknown", Reason.RECONCILE_DISABLED)}
    assert generations_of(status) == generations_of(before) | {READY: 9}
    assert status.observed_generation == 9
    assert status.queue == before.queue
    fresh = said(reconcile_disabled_status(service(), NOTHING, NOW))
    assert fresh[QUEUE] == ("Unknown", Reason.PENDING)


def test_a_spec_that_cannot_be_read_is_told():
    before = status_of()
    status = invalid_status(9, "spec.pools: Field required", before, NOW)
    told = {READY: ("False", Reason.INVALID_SPEC), DEGRADED: ("True", Reason.INVALID_SPEC)}
    assert said(status) == said(before) | told
    # What nobody has looked at with the new spec is still about the old one.
    assert generations_of(status) == generations_of(before) | {READY: 9, DEGRADED: 9}
    for condition in status.conditions:
        if condition.type in told:
            assert "spec.pools: Field required" in condition.message
    assert status.observed_generation == 9


def test_what_a_silent_server_was_is_about_the_spec_of_that_time():
    before = status_of(sample=sample(warnings=("appendonly is off",)))
    seen = see(sample=None, queue_problem=UNREACHABLE)
    generations = generations_of(service_status(at_generation(9), seen, before, NOW))
    assert generations.pop(DURABLE) == 3
    assert set(generations.values()) == {9}


def told(before: TranscriptionServiceStatus, **seen: Any) -> list[tuple[str, bool]]:
    return [
        (each.reason, each.warning) for each in events_between(before, status_of(before, **seen))
    ]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {}, []),
        ({}, {"replicas": 1}, [("FleetWoke", False)]),
        ({"replicas": 1}, {}, [("FleetSleeps", False)]),
        # A fleet that is told to go on has nothing to be told about.
        (
            {"suspend": True, "scaler": scaled_object(Ready="True", Paused="True")},
            {"scaler": scaled_object(Ready="True", Paused="True")},
            [],
        ),
        ({}, {"sample": None, "queue_problem": UNREACHABLE}, [("QueueUnreachable", True)]),
        ({"sample": None, "queue_problem": UNREACHABLE}, {}, [("QueueReachableAgain", False)]),
        ({}, {"keda": Keda.MISSING}, [("KedaMissing", True)]),
        ({"keda": Keda.MISSING}, {}, [("AutoscalerReadyAgain", False)]),
        ({}, {"problems": (TAKEN,)}, [("NameTaken", True)]),
        ({}, {"suspend": True}, [("Suspended", False)]),
        (
            {},
            {"sample": None, "queue_problem": NO_SECRET, "problems": (NO_SECRET,)},
            [("SecretMissing", True)],
        ),
        ({}, {"sample": sample(warnings=("appendonly is off",))}, [("QueueNotDurable", True)]),
        ({"sample": sample(dead_letters=2)}, {"sample": sample(dead_letters=2)}, []),
        (
            {"sample": sample(dead_letters=2)},
            {"sample": sample(dead_letters=5)},
            [("DeadLetters", True)],
        ),
        ({"sample": sample(dead_letters=5)}, {"sample": sample(dead_letters=2)}, []),
        ({"replicas": 1}, {"replicas": 1, "pods": [NO_GPU]}, [("NoGPUAvailable", True)]),
        # A pool's trouble is told once, though Ready falls with it.
        (
            {"replicas": 1, "pods": [pod()]},
            {"replicas": 1, "pods": [NO_GPU]},
            [("NoGPUAvailable", True)],
        ),
        ({"replicas": 1, "pods": [NO_GPU]}, {"replicas": 1, "pods": [NO_GPU]}, []),
    ],
)
def test_a_person_is_told_what_changed_and_once(before, after, expected):
    assert told(status_of(**before), **after) == expected


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ({"sample": sample(queued=2, running=1)}, "jobs in the queue: 3"),
        # By replicas.min or by hand, or the sample is older than the first job.
        ({}, "pods asked for: 2"),
        ({"sample": None, "queue_problem": UNREACHABLE}, "pods asked for: 2"),
    ],
)
def test_a_fleet_that_wakes_says_why_as_far_as_it_shows(seen, words):
    (woke,) = (
        each
        for each in events_between(NOTHING, status_of(NOTHING, replicas=2, **seen))
        if each.reason == "FleetWoke"
    )
    assert woke.message.endswith(words)


def test_a_pool_whose_queue_is_gone_is_not_called_idle():
    status = status_of(replicas=1, pods=[pod()], sample=None, queue_problem=UNREACHABLE)
    assert said(status)[WORKERS] == ("True", Reason.SERVING)
    assert "once the queue can be asked" in status.pools[0].message


def test_what_comes_and_goes_with_each_job_is_seldom_told():
    busy = sample(queued=1000)
    threes = {"replicas": 3, "pods": [pod(name) for name in "abc"]}
    (told,) = events_between(status_of(**threes), status_of(**threes, sample=busy))
    assert (told.reason, told.warning, told.seldom) == ("AtMaxReplicas", False, True)
    (told,) = events_between(NOTHING, status_of(keda=Keda.MISSING))
    assert not told.seldom


def test_a_first_reconcile_of_a_healthy_service_is_no_news():
    assert told(NOTHING) == []


def test_the_merge_patch_is_what_differs():
    before = {"a": 1, "b": {"c": 1, "gone": 2}, "old": [1]}
    after = {"a": 1, "b": {"c": 2}, "new": [2]}
    assert merge_patch(before, after) == {"b": {"c": 2, "gone": None}, "old": None, "new": [2]}

"""Every reason has its words, and what passes by itself does so in time: a walk through all."""

from datetime import timedelta
from typing import Any

import pytest

from support.operator.world import (
    NOW,
    autoscaler,
    deployment,
    sample,
    scaled_object,
    service,
    waiting_pod,
)
from whisperfleet_operator.kube import Object
from whisperfleet_operator.observe import Keda, Observation, PoolView, Spell
from whisperfleet_operator.resource import Reason, TranscriptionServiceStatus
from whisperfleet_operator.resource.reasons import REASONS, Kind
from whisperfleet_operator.status import service_status

# Longer than anything that passes by itself may take, with the times of `service()`.
LONG = 3600.0


def shown(after_seconds: float, suspend: bool = False, **seen: Any) -> set[Reason]:
    """Return what is said of a service after it has been so for a while."""
    wanted = service(suspend=suspend)
    now = NOW + timedelta(seconds=after_seconds)
    view = PoolView(
        wanted.spec.pools[0],
        deployment(seen.get("replicas", 0)),
        seen.get("scaler", scaled_object(Ready="True")),
        tuple(seen.get("pods", ())),
        hpas=(autoscaler(),),
        spells=dict.fromkeys(seen.get("spells", ()), after_seconds),
    )
    queue = sample(queued=seen.get("jobs", 0))
    status = service_status(
        wanted, Observation((view,), Keda.READY, queue, None, ()), TranscriptionServiceStatus(), now
    )
    return {each.reason for each in status.conditions} | {each.reason for each in status.pools}


def running(state: Object) -> list[Object]:
    moment = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")
    return [waiting_pod({"state": state}, lastTransitionTime=moment)]


LOADING = {"running": {"startedAt": "2026-03-01T12:00:00Z"}}
CREATING = {"waiting": {"reason": "ContainerCreating"}}

# How each reason that does not stay comes about.
SITUATIONS: dict[Reason, dict[str, Any]] = {
    Reason.SCALING_UP: {"jobs": 1, "spells": [Spell.UNWOKEN]},
    Reason.MODEL_LOADING: {"jobs": 1, "replicas": 1, "pods": running(LOADING)},
    Reason.POD_STARTING: {"jobs": 1, "replicas": 1, "pods": running(CREATING)},
    Reason.AUTOSCALER_PENDING: {"scaler": scaled_object(), "spells": [Spell.UNNOTICED]},
    Reason.SUSPENDED: {"suspend": True, "replicas": 1, "spells": [Spell.AWAKE]},
}
# What takes an API server or a Redis to come about, and the test that sees its end.
ELSEWHERE: dict[Reason, str] = {
    Reason.PENDING: "test_probe: a server that never answers",
    Reason.PREDECESSOR_LEAVING: "test_reconcile: a predecessor that does not leave",
    Reason.SERVING: "test_autoscaler: 1 to N",
    Reason.IDLE: "test_autoscaler: N to 0",
}


def test_every_reason_has_its_words():
    assert list(REASONS) == list(Reason)
    for reason, about in REASONS.items():
        assert about.means.endswith("."), reason
        assert bool(about.deadline) == bool(about.follows), reason


@pytest.mark.parametrize("reason", [r for r, about in REASONS.items() if about.kind is Kind.PASSES])
def test_what_passes_has_a_deadline_and_ends_in_what_does_not(reason: Reason):
    about = REASONS[reason]
    assert about.deadline
    for follower in about.follows:
        assert REASONS[follower].kind is not Kind.PASSES or follower is reason


def test_everything_with_a_deadline_is_tried():
    with_deadlines = {reason for reason, about in REASONS.items() if about.deadline}
    assert with_deadlines == SITUATIONS.keys() | ELSEWHERE.keys()


@pytest.mark.parametrize("reason", SITUATIONS)
def test_it_becomes_another_in_time(reason: Reason):
    situation = SITUATIONS[reason]
    assert reason in shown(0, **situation)
    later = shown(LONG, **situation)
    assert reason not in later
    assert later & set(REASONS[reason].follows)

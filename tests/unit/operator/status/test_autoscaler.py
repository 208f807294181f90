"""What is said of the autoscaler in each direction, from what was seen and for how long."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from support.operator.world import (
    NOW,
    autoscaler,
    deployment,
    pod,
    sample,
    scaled_object,
    service,
)
from whisperfleet_operator.kube import Object
from whisperfleet_operator.observe import Keda, Observation, PoolView, Spell
from whisperfleet_operator.resource import (
    ConditionStatus,
    ConditionType,
    Reason,
    TranscriptionServiceStatus,
)
from whisperfleet_operator.resource.patience import (
    growing_seconds,
    keda_seconds,
    sleeping_seconds,
)
from whisperfleet_operator.resource.status import PoolStatus
from whisperfleet_operator.status import service_status
from whisperfleet_operator.status.autoscaler import autoscaler_state

SPEC = service().spec
(POOL,) = SPEC.pools
KEDA_TIME = keda_seconds(SPEC)
HPA_TIME = growing_seconds(SPEC, POOL)
SLEEP_TIME = sleeping_seconds(SPEC)
READY = scaled_object(Ready="True")
NO_METRIC = "False FailedGetExternalMetric"


def annotated(name: str, value: str = "true") -> Object:
    scaler = scaled_object(Ready="True")
    scaler["metadata"]["annotations"] = {f"autoscaling.keda.sh/{name}": value}
    return scaler


def view(
    replicas: int = 0,
    scaler: Object | None = READY,
    spells: Mapping[Spell, float] | None = None,
    hpas: tuple[Object, ...] | None = (autoscaler(),),
    pods: tuple[Object, ...] = (),
) -> PoolView:
    return PoolView(POOL, deployment(replicas), scaler, pods, hpas=hpas, spells=spells or {})


def see(pool: PoolView, jobs: int = 0, keda: Keda = Keda.READY) -> Observation:
    return Observation((pool,), keda, sample(queued=jobs), None, ())


def state_of(jobs: int = 0, woken=None, suspend: bool = False, **seen: Any):
    spec = service(suspend=suspend).spec
    pool = view(**seen)
    return autoscaler_state(pool, spec, see(pool, jobs), woken)


@pytest.mark.parametrize(
    ("seen", "reason", "words"),
    [
        # 0 to 1.
        ({"spells": {Spell.UNWOKEN: KEDA_TIME}}, None, ""),
        ({"spells": {Spell.UNWOKEN: KEDA_TIME + 1}}, "AutoscalerSilent", "keda-operator runs"),
        ({"scaler": None, "spells": {Spell.UNNOTICED: KEDA_TIME + 1}}, "AutoscalerSilent", "made"),
        (
            {"scaler": scaled_object(), "spells": {Spell.UNNOTICED: KEDA_TIME + 1}},
            "AutoscalerSilent",
            "has not looked at the ScaledObject calls-main",
        ),
        # 1 to N, by the word of the HorizontalPodAutoscaler.
        (
            {"replicas": 1, "hpas": (autoscaler(active=NO_METRIC),)},
            None,
            "",
        ),
        (
            {
                "replicas": 1,
                "hpas": (autoscaler(active=NO_METRIC),),
                "spells": {Spell.HPA_TROUBLE: HPA_TIME + 1},
            },
            "AutoscalerHoldsBack",
            "FailedGetExternalMetric.*metrics server.*external.metrics.k8s.io",
        ),
        # Or by KEDA's, where it may not be listed.
        (
            {
                "replicas": 1,
                "hpas": None,
                "scaler": scaled_object(Ready="True", HPAActive="False InvalidSelector"),
                "spells": {Spell.HPA_TROUBLE: HPA_TIME + 1},
            },
            "AutoscalerHoldsBack",
            "InvalidSelector.*describe hpa",
        ),
        # Which is old where the one itself says otherwise.
        (
            {
                "replicas": 1,
                "scaler": scaled_object(Ready="True", HPAActive=NO_METRIC),
                "spells": {Spell.HPA_TROUBLE: HPA_TIME + 1},
            },
            None,
            "",
        ),
        (
            {"hpas": (autoscaler(active="False ScalingDisabled"),)},
            None,
            "",
        ),
        # By what is seen.
        ({"replicas": 1, "jobs": 190, "spells": {Spell.TOO_FEW: HPA_TIME}}, None, ""),
        (
            {"replicas": 1, "jobs": 190, "spells": {Spell.TOO_FEW: HPA_TIME + 1}},
            "AutoscalerHoldsBack",
            "want 3 pods, and the autoscaler, which asks for 1",
        ),
        # And who knows the cause is quoted, however late its word came.
        (
            {
                "replicas": 1,
                "jobs": 190,
                "hpas": (autoscaler(active=NO_METRIC),),
                "spells": {Spell.TOO_FEW: HPA_TIME + 1, Spell.HPA_TROUBLE: 1},
            },
            "AutoscalerHoldsBack",
            "FailedGetExternalMetric.*metrics server",
        ),
        # N to 0.
        ({"replicas": 2, "spells": {Spell.AWAKE: SLEEP_TIME}}, None, ""),
        (
            {"replicas": 2, "spells": {Spell.AWAKE: SLEEP_TIME + 1}},
            "AutoscalerKeepsAwake",
            r"cooldownSeconds \(600 s\), and KEDA does not put the 2 pods to sleep",
        ),
        (
            {"replicas": 2, "suspend": True, "spells": {Spell.AWAKE: KEDA_TIME + 1}},
            "AutoscalerKeepsAwake",
            "spec.suspend is set, and 2 pods are still asked for",
        ),
        ({"replicas": 2, "suspend": True, "spells": {Spell.AWAKE: KEDA_TIME}}, None, ""),
        # Two masters.
        (
            {"replicas": 1, "hpas": (autoscaler(), autoscaler("by-hand", owner=""))},
            "AutoscalerContested",
            "HorizontalPodAutoscaler by-hand scales the Deployment calls-main.*delete hpa by-hand",
        ),
        (
            {"replicas": 1, "hpas": (autoscaler(), autoscaler("keda-hpa-x", owner="x"))},
            "AutoscalerContested",
            "keda-hpa-x",
        ),
        # What KEDA says, with patience for what may pass.
        ({"scaler": scaled_object(Ready="False TriggerError")}, None, ""),
        (
            {
                "scaler": scaled_object(Ready="False TriggerError"),
                "spells": {Spell.KEDA_TROUBLE: KEDA_TIME + 1},
            },
            "AutoscalerFailed",
            "KEDA cannot read the queue, though the operator can",
        ),
        (
            {
                "scaler": scaled_object(Ready="Unknown PartialTriggerError"),
                "spells": {Spell.KEDA_TROUBLE: KEDA_TIME + 1},
            },
            "AutoscalerFailed",
            "describe scaledobject",
        ),
        ({"scaler": scaled_object(Ready="False ScaledObjectCheckFailed")}, "AutoscalerFailed", ""),
        (
            {"scaler": scaled_object(Ready="True", Fallback="True FallbackExists")},
            "AutoscalerFailed",
            "falls back to the number of pods that somebody set",
        ),
        # What a person did comes before what it leads to.
        (
            {"scaler": annotated("paused-replicas", "0"), "spells": {Spell.UNWOKEN: 1e9}},
            "AutoscalerPaused",
            "paused-replicas: remove it",
        ),
        (
            {"scaler": annotated("paused"), "replicas": 1, "spells": {Spell.AWAKE: 1e9}},
            "AutoscalerPaused",
            "",
        ),
    ],
)
def test_each_direction_has_its_reason_and_its_patience(seen, reason, words):
    state = state_of(**seen)
    if reason is None:
        assert state.status is ConditionStatus.TRUE
    else:
        assert (state.status, state.reason) == (ConditionStatus.FALSE, reason)
        assert re.search(words, state.message), state.message


def test_keda_names_the_triggers_that_fail():
    scaler = scaled_object(Ready="True", Fallback="True FallbackExists")
    scaler["status"]["health"] = {
        "s0-redis-streams": {"numberOfFailures": 9, "status": "Failing"},
        "s1-redis-streams": {"numberOfFailures": 0, "status": "Happy"},
    }
    message = state_of(scaler=scaler, replicas=1).message
    assert "s0-redis-streams has failed 9 times in a row" in message
    assert "s1" not in message


def test_who_was_woken_by_the_operator_is_waited_for_until_keda_has_looked():
    scaler = scaled_object(Ready="True")
    assert state_of(replicas=1, scaler=scaler, woken=NOW).reason is Reason.AUTOSCALER_SILENT
    scaler["status"]["lastActiveTime"] = "2026-03-01T11:59:00Z"
    assert state_of(replicas=1, scaler=scaler, woken=NOW).reason is Reason.AUTOSCALER_SILENT
    scaler["status"]["lastActiveTime"] = "2026-03-01T12:00:05Z"
    assert state_of(replicas=1, scaler=scaler, woken=NOW).status is ConditionStatus.TRUE
    # Without work what is wrong now is that the pod stays.
    awake = state_of(replicas=1, woken=NOW, spells={Spell.AWAKE: SLEEP_TIME + 1})
    assert awake.reason is Reason.AUTOSCALER_KEEPS_AWAKE
    # Asleep again, and whoever saw to that was not the operator.
    assert state_of(scaler=scaled_object(Ready="True"), woken=NOW).status is ConditionStatus.TRUE


def test_a_pool_may_take_the_time_that_its_own_rules_ask_for():
    def patience(**rules: Any) -> float:
        spec = service(pools=[{"name": "main", "replicas": {"max": 3}, **rules}]).spec
        return growing_seconds(spec, spec.pools[0])

    slow = {"stabilizationWindowSeconds": 120}
    one_a_minute = {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}
    assert patience() == 45
    assert patience(behavior={"scaleUp": slow}) == 165
    assert patience(behavior={"scaleUp": slow | one_a_minute}) == 225
    assert patience(behavior={"scaleUp": {"selectPolicy": "Disabled"}}) == float("inf")
    assert patience(behavior={"scaleDown": slow}) == 45


def status_of(jobs: int, pool: PoolView) -> TranscriptionServiceStatus:
    return service_status(service(), see(pool, jobs), TranscriptionServiceStatus(), NOW)


def said(status: TranscriptionServiceStatus, name: ConditionType) -> tuple[str, Reason]:
    return next((str(e.status), e.reason) for e in status.conditions if e.type is name)


@pytest.mark.parametrize(
    ("jobs", "seen", "reason"),
    [
        (
            190,
            {"replicas": 1, "pods": (pod(),), "spells": {Spell.TOO_FEW: 1e9}},
            Reason.AUTOSCALER_HOLDS_BACK,
        ),
        (
            0,
            {"replicas": 1, "pods": (pod(),), "spells": {Spell.AWAKE: 1e9}},
            Reason.AUTOSCALER_KEEPS_AWAKE,
        ),
        (
            1,
            {
                "replicas": 1,
                "pods": (pod(),),
                "hpas": (autoscaler(), autoscaler("by-hand", owner="")),
            },
            Reason.AUTOSCALER_CONTESTED,
        ),
    ],
)
def test_pods_that_work_are_ready_and_everything_says_what_fails(jobs, seen, reason):
    status = status_of(jobs, view(**seen))
    assert said(status, ConditionType.READY) == ("True", reason)
    assert said(status, ConditionType.AUTOSCALER_READY) == ("False", reason)
    assert said(status, ConditionType.DEGRADED) == ("True", reason)
    assert said(status, ConditionType.WORKERS_AVAILABLE) == ("True", reason)
    assert status.pools[0].reason is reason


def test_a_fleet_that_is_not_woken_is_not_ready():
    status = status_of(3, view(spells={Spell.UNWOKEN: 1e9}))
    for name in (ConditionType.READY, ConditionType.WORKERS_AVAILABLE):
        assert said(status, name) == ("False", Reason.AUTOSCALER_SILENT)
    assert said(status, ConditionType.DEGRADED) == ("True", Reason.AUTOSCALER_SILENT)
    assert status.pools[0].reason is Reason.AUTOSCALER_SILENT


def test_what_a_pod_waits_for_comes_before_its_autoscaler():
    waiting = pod(
        conditions=[
            {
                "type": "PodScheduled",
                "status": "False",
                "message": "0/1 nodes are available: 1 Insufficient memory.",
            },
            {"type": "Ready", "status": "False"},
        ]
    )
    status = status_of(190, view(1, pods=(waiting,), spells={Spell.TOO_FEW: 1e9}))
    assert status.pools[0].reason is Reason.UNSCHEDULABLE
    assert said(status, ConditionType.AUTOSCALER_READY)[1] is Reason.AUTOSCALER_HOLDS_BACK


def test_when_the_operator_woke_a_pool_is_kept_until_the_autoscaler_is_back():
    woken = NOW - timedelta(minutes=5)
    before = TranscriptionServiceStatus(pools=(PoolStatus(name="main", woken_time=woken),))
    dead = see(view(1, pods=(pod(),)), jobs=1)
    status = service_status(service(), dead, before, NOW)
    assert status.pools[0].woken_time == woken
    (scaler,) = (e for e in status.conditions if e.type is ConditionType.AUTOSCALER_READY)
    assert "the operator woke one pod itself" in scaler.message
    alive = scaled_object(Ready="True")
    alive["status"]["lastActiveTime"] = "2026-03-01T11:59:00Z"
    back = see(view(1, scaler=alive, pods=(pod(),)), jobs=1)
    assert service_status(service(), back, before, NOW).pools[0].woken_time is None

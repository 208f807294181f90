"""Never asleep with work: the operator wakes one pod where the autoscaler does not, and no more."""

import copy
from datetime import UTC, datetime, timedelta

import pytest
import redis

from support.operator.fake_kube import FakeKube
from support.operator.reconciling import World
from support.operator.services import CHILD
from support.operator.world import NAMESPACE, autoscaler, deployment, sample, scaled_object, service
from whisperfleet_operator.kube import ForbiddenError
from whisperfleet_operator.kube.kinds import DEPLOYMENT, HPA, SCALED_OBJECT
from whisperfleet_operator.observe import Keda, Observation, PoolView, Spell
from whisperfleet_operator.waking import Wakes, shall_wake

SPEC = service().spec
NEVER = Wakes()
SILENT = {Spell.UNWOKEN: 31.0}


def decide(
    jobs: int = 1,
    replicas: int = 0,
    scaler=None,
    spells=SILENT,
    keda: Keda = Keda.READY,
    wakes: Wakes = NEVER,
    **spec,
) -> bool:
    wanted = service(**spec)
    scaler = scaled_object(Ready="True") if scaler is None else scaler
    view = PoolView(wanted.spec.pools[0], deployment(replicas), scaler, (), spells=spells)
    seen = Observation((view,), keda, sample(queued=jobs), None, ())
    return shall_wake(wanted, seen, view, wakes)


def paused(name: str) -> dict:
    scaler = scaled_object(Ready="False ScaledObjectCheckFailed")
    scaler["metadata"]["annotations"] = {f"autoscaling.keda.sh/{name}": "0" if "r" in name else "1"}
    return scaler


@pytest.mark.parametrize(
    ("situation", "wakes"),
    [
        ({}, True),
        # KEDA looks, and has its time.
        ({"spells": {Spell.UNWOKEN: 29.0}}, False),
        ({"scaler": scaled_object(Ready="False ScaledObjectCheckFailed")}, True),
        ({"keda": Keda.MISSING}, True),
        ({"keda": Keda.MISSING, "spells": {Spell.UNWOKEN: 29.0}}, False),
        # It is there, and would send the pod to sleep again.
        ({"keda": Keda.TOO_OLD}, False),
        ({"jobs": 0}, False),
        ({"replicas": 1}, False),
        ({"suspend": True}, False),
        ({"scaler": paused("paused-replicas")}, False),
        ({"scaler": paused("paused")}, False),
        ({"scaler": paused("paused-scale-out")}, False),
        ({"scaler": paused("paused-replicas"), "keda": Keda.MISSING}, False),
        ({"scaling": {"wakeAfterSeconds": 60}}, False),
        ({"scaling": {"wakeAfterSeconds": 60}, "spells": {Spell.UNWOKEN: 60.0}}, True),
        # Somebody put the pod to sleep again: longer each time, up to an hour.
        ({"wakes": Wakes(1, 59.0), "spells": {Spell.UNWOKEN: 999.0}}, False),
        ({"wakes": Wakes(1, 60.0), "spells": {Spell.UNWOKEN: 59.0}}, False),
        ({"wakes": Wakes(1, 60.0), "spells": {Spell.UNWOKEN: 60.0}}, True),
        ({"wakes": Wakes(30, 3599.0), "spells": {Spell.UNWOKEN: 1e9}}, False),
        ({"wakes": Wakes(30, 3600.0), "spells": {Spell.UNWOKEN: 1e9}}, True),
    ],
)
def test_a_pool_is_woken_where_nobody_else_will_and_nobody_minds(situation, wakes):
    assert decide(**situation) is wakes


@pytest.fixture
def job(settled: World, queue: redis.Redis) -> bytes:
    """A job that nobody comes for."""
    entry = queue.xadd(settled.keys.stream("normal"), {"url": "https://example.org/a.wav"})
    settled.reconcile()
    return entry


def keda_looks(world: World, after: timedelta = timedelta(seconds=2)) -> None:
    at = (datetime.now(UTC) + after).strftime("%Y-%m-%dT%H:%M:%SZ")
    world.kube.edit(
        SCALED_OBJECT, NAMESPACE, CHILD, lambda live: live["status"].update(lastActiveTime=at)
    )


def put_to_sleep(world: World) -> None:
    world.kube.edit(DEPLOYMENT, NAMESPACE, CHILD, lambda live: live["spec"].update(replicas=0))


@pytest.mark.usefixtures("job")
def test_a_keda_that_does_nothing_is_noticed_and_one_pod_woken(settled: World):
    settled.writes()
    settled.reconcile(20)
    assert settled.ready() == ("True", "ScalingUp")
    # It is reconciled when the time is up, not some seconds later.
    assert settled.reconcile(5) == pytest.approx(5, abs=0.1)
    settled.reconcile(5.1)
    status, reason, message = settled.condition("AutoscalerReady")
    assert (status, reason) == ("False", "AutoscalerSilent")
    assert "keda-operator" in message
    assert "the operator woke one pod itself" in message
    assert settled.child()["spec"]["replicas"] == 1
    assert settled.writes().count("scale Deployment") == 1
    assert settled.events().count("AutoscalerSilent") == 1
    assert settled.events().count("WokenByOperator") == 1
    # It stays so for the next operator, and is told once.
    settled.restart()
    settled.reconcile(60)
    assert settled.condition("AutoscalerReady")[1] == "AutoscalerSilent"
    assert settled.events().count("WokenByOperator") == 1
    assert "scale Deployment" not in settled.writes()
    keda_looks(settled)
    settled.reconcile(10)
    assert settled.condition("AutoscalerReady")[:2] == ("True", "AsExpected")
    assert "AutoscalerReadyAgain" in settled.events()
    assert "wokenTime" not in settled.service()["status"]["pools"][0]


@pytest.mark.usefixtures("job")
def test_who_puts_the_pod_to_sleep_again_is_not_fought(settled: World):
    settled.reconcile(31)
    put_to_sleep(settled)
    settled.reconcile(1)
    for _ in range(5):
        settled.reconcile(10)
    assert settled.writes().count("scale Deployment") == 1
    settled.reconcile(10)
    assert settled.writes().count("scale Deployment") == 1
    assert settled.child()["spec"]["replicas"] == 1


def test_a_queue_that_was_empty_begins_anew(settled: World, queue: redis.Redis, job: bytes):
    settled.reconcile(31)
    put_to_sleep(settled)
    queue.xdel(settled.keys.stream("normal"), job)
    settled.reconcile(10)
    queue.xadd(settled.keys.stream("normal"), {"url": "https://example.org/b.wav"})
    settled.reconcile(10)
    settled.reconcile(31)
    assert settled.writes().count("scale Deployment") == 2


@pytest.mark.usefixtures("job")
def test_who_is_faster_is_left_alone(settled: World, fake: FakeKube):
    """The autoscaler wakes two pods, and no watch has told of it yet."""
    settled.deaf = True
    fake.edit(DEPLOYMENT, NAMESPACE, CHILD, lambda live: live["spec"].update(replicas=2))
    settled.reconcile(31)
    assert settled.child()["spec"]["replicas"] == 2
    settled.reconcile(1)
    assert settled.condition("AutoscalerReady")[0] == "True"


@pytest.mark.usefixtures("job")
def test_an_operator_that_may_not_wake_goes_on_with_the_rest(settled: World, fake: FakeKube):
    fake.refuse("scale", "Deployment", ForbiddenError("scale", CHILD, "no such right"))
    settled.reconcile(31)
    assert settled.ready() == ("False", "AutoscalerSilent")
    assert settled.child()["spec"]["replicas"] == 0
    assert "WokenByOperator" not in settled.events()


def test_without_keda_a_fleet_with_work_is_woken(settled: World, fake: FakeKube, job: bytes):
    del job
    fake.documents = {"/openapi/v3": {"paths": {}}}
    settled.reconcile(10)
    settled.reconcile(21)
    assert settled.condition("AutoscalerReady")[:2] == ("False", "KedaMissing")
    assert settled.child()["spec"]["replicas"] == 1


def grown(world: World, replicas: int) -> None:
    world.kube.edit(
        DEPLOYMENT, NAMESPACE, CHILD, lambda live: live["spec"].update(replicas=replicas)
    )


def test_too_few_pods_are_noticed_and_progress_is_not(settled: World, queue: redis.Redis):
    for number in range(200):
        queue.xadd(settled.keys.stream("normal"), {"url": f"https://example.org/{number}.wav"})
    grown(settled, 1)
    settled.reconcile(10)
    settled.reconcile(40)
    assert settled.condition("AutoscalerReady")[0] == "True"
    grown(settled, 2)
    settled.reconcile(10)
    settled.reconcile(40)
    assert settled.condition("AutoscalerReady")[0] == "True"
    settled.reconcile(10)
    assert settled.condition("AutoscalerReady")[:2] == ("False", "AutoscalerHoldsBack")
    # An operator that begins anew takes nothing back; what heals is gone at the next reconcile.
    settled.restart()
    settled.reconcile(1)
    assert settled.condition("AutoscalerReady")[1] == "AutoscalerHoldsBack"
    grown(settled, 3)
    settled.reconcile(1)
    assert settled.condition("AutoscalerReady")[0] == "True"


def test_pods_that_nobody_puts_to_sleep_are_noticed(settled: World):
    grown(settled, 1)
    settled.reconcile(10)
    settled.reconcile(625)
    assert settled.condition("AutoscalerReady")[0] == "True"
    settled.reconcile(10)
    assert settled.condition("AutoscalerReady")[:2] == ("False", "AutoscalerKeepsAwake")
    assert settled.condition("Degraded")[1] == "AutoscalerKeepsAwake"
    assert "AutoscalerKeepsAwake" in settled.events()
    put_to_sleep(settled)
    settled.reconcile(1)
    assert settled.ready() == ("True", "Idle")


def test_somebody_may_want_pods_without_work(settled: World, fake: FakeKube):
    def force(live):
        live["metadata"]["annotations"]["autoscaling.keda.sh/force-activation"] = "true"

    fake.edit(SCALED_OBJECT, NAMESPACE, CHILD, force)
    grown(settled, 1)
    settled.reconcile(10)
    settled.reconcile(3600)
    assert settled.condition("AutoscalerReady")[0] == "True"


@pytest.mark.parametrize("replicas", [0, 1])
def test_another_autoscaler_on_the_deployment_is_named(
    settled: World, fake: FakeKube, replicas: int
):
    fake.create(copy.deepcopy(autoscaler()), "keda")
    rival = autoscaler("by-hand", owner="")
    fake.create(copy.deepcopy(rival), "somebody")
    grown(settled, replicas)
    settled.reconcile(20)
    status, reason, message = settled.condition("AutoscalerReady")
    assert (status, reason) == ("False", "AutoscalerContested")
    assert "by-hand" in message
    fake.remove(HPA, NAMESPACE, "by-hand")
    settled.reconcile(10)
    assert settled.condition("AutoscalerReady")[0] == "True"


def test_who_may_not_list_autoscalers_goes_by_kedas_word(settled: World, fake: FakeKube):
    fake.refuse("list", "HorizontalPodAutoscaler", ForbiddenError("list", "hpa", "forbidden"))
    settled.keda_says(Ready="True", HPAActive="False")
    grown(settled, 1)
    settled.reconcile(70)
    assert settled.condition("AutoscalerReady")[0] == "True"
    settled.reconcile(50)
    assert settled.condition("AutoscalerReady")[1] == "AutoscalerHoldsBack"


def test_the_autoscalers_of_a_namespace_are_listed_once_for_a_while(settled: World, fake: FakeKube):
    asked = []
    listing = fake.list
    fake.list = lambda kind, *rest: asked.append(kind) or listing(kind, *rest)
    settled.reconcile(70)
    for _ in range(5):
        settled.reconcile(10)
    assert asked.count(HPA) == 3
    grown(settled, 1)
    settled.reconcile(10)
    settled.reconcile(10)
    assert asked.count(HPA) == 5

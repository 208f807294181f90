"""Reconciles of a service: what is made, and mended."""

import itertools

import pytest
import redis

from support.operator.fake_kube import FakeKube
from support.operator.reconciling import ALL, KINDS, World
from support.operator.services import CHILD
from support.operator.world import NAMESPACE
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet_operator.kube import (
    NotFoundError,
    ServerError,
    UnavailableError,
)
from whisperfleet_operator.kube.kinds import DEPLOYMENT, SCALED_OBJECT, SERVICE
from whisperfleet_operator.observe.children import OwnerTerminatingError


def test_a_first_reconcile_makes_everything_in_order(world: World):
    world.apply()
    assert world.reconcile() == pytest.approx(10, abs=1)
    assert world.children() == ALL
    writes = world.writes()
    assert writes[:2] == ["create Lease", "create Deployment"]
    assert writes.index("apply Deployment") < writes.index("apply ScaledObject")
    assert writes[-2:] == ["patch_status TranscriptionService", "create Event"]
    deployment = world.child()
    assert deployment["spec"]["replicas"] == 0
    assert deployment["metadata"]["ownerReferences"][0]["uid"] == world.service()["metadata"]["uid"]


def test_streams_are_there_before_the_autoscaler(world: World, fake: FakeKube, queue: redis.Redis):
    fake.refuse("apply", "ScaledObject", UnavailableError("apply", CHILD, "not now"))
    world.apply()
    with pytest.raises(UnavailableError):
        world.reconcile()
    assert queue.exists(world.keys.stream("high"), world.keys.stream("low")) == 2


def test_a_second_reconcile_writes_nothing(settled: World):
    for _ in range(3):
        settled.reconcile()
    # Longer than a resync, which reads everything anew.
    settled.reconcile(3600)
    assert settled.writes() == []


def test_an_operator_that_begins_anew_writes_nothing(settled: World):
    settled.restart()
    settled.reconcile()
    settled.reconcile()
    assert settled.writes() == []


def test_the_replicas_are_the_autoscalers(settled: World, fake: FakeKube):
    fake.edit(DEPLOYMENT, NAMESPACE, CHILD, lambda live: live["spec"].update(replicas=2))
    settled.apply(model={"image": "example/worker:0.2.0"})
    settled.reconcile()
    deployment = settled.child()
    assert deployment["spec"]["replicas"] == 2
    (worker,) = deployment["spec"]["template"]["spec"]["containers"]
    assert worker["image"] == "example/worker:0.2.0"


@pytest.mark.parametrize("kind", sorted(ALL))
def test_a_deleted_child_comes_back(settled: World, fake: FakeKube, kind: str):
    fake.remove(KINDS[kind], NAMESPACE, CHILD)
    settled.reconcile()
    assert settled.children() == ALL


@pytest.mark.parametrize("kind", sorted(ALL))
def test_a_child_whose_end_no_watch_told_comes_back_with_the_resync(
    settled: World, fake: FakeKube, kind: str
):
    settled.deaf = True
    fake.remove(KINDS[kind], NAMESPACE, CHILD)
    settled.reconcile(3600)
    assert settled.children() == ALL


def test_an_edit_by_hand_is_undone_and_what_others_add_stays(settled: World, fake: FakeKube):
    def edit(live):
        live["spec"]["maxReplicaCount"] = 99
        live["metadata"]["labels"]["theirs"] = "1"

    fake.edit(SCALED_OBJECT, NAMESPACE, CHILD, edit)
    settled.reconcile()
    scaler = settled.child(SCALED_OBJECT)
    assert scaler["spec"]["maxReplicaCount"] == 3
    assert scaler["metadata"]["labels"]["theirs"] == "1"
    assert settled.writes() == ["apply ScaledObject"]


def test_two_operators_do_not_fight(settled: World):
    other = World.__new__(World)
    other.__dict__.update(settled.__dict__)
    other.restart()
    settled.apply(model={"image": "example/worker:0.2.0"})
    settled.reconcile()
    settled.writes()
    for _ in range(3):
        other.reconcile()
        settled.reconcile()
    assert settled.writes() == []


def test_an_operator_killed_after_any_write_goes_on_to_the_same_end(world: World, fake: FakeKube):
    """Let the API server fail at the nth write, for each n, and begin anew."""
    world.apply()
    for survived in itertools.count():
        budget = [survived]
        original = fake._check

        def check(verb, kind, name, *, written=False, budget=budget, original=original):
            if written:
                if not budget[0]:
                    raise UnavailableError(verb, name, "killed")
                budget[0] -= 1
            original(verb, kind, name, written=written)

        fake._check = check
        try:
            world.restart()
            world.reconcile()
        except UnavailableError:
            continue
        finally:
            fake._check = original
        break
    assert survived >= 2
    assert world.children() == ALL
    assert world.child()["spec"]["replicas"] == 0
    world.keda_says(Ready="True")
    world.reconcile()
    world.writes()
    world.reconcile()
    assert world.writes() == []


def test_the_end_of_a_service_is_the_end_of_reconciles(settled: World, fake: FakeKube):
    fake.remove(SERVICE, NAMESPACE, "calls")
    assert settled.reconcile() is None
    assert settled.children() == set()
    assert settled.writes() == []
    assert next(iter(settled.service_metrics.collect())).samples == []


def test_a_successor_waits_for_what_is_left_of_its_predecessor(settled: World, fake: FakeKube):
    """Children are deleted after their owner, and the name may be in use again by then."""
    left = settled.child(KINDS["ServiceAccount"])
    fake.remove(SERVICE, NAMESPACE, "calls")
    fake.create({**left, "metadata": {**left["metadata"]}}, "garbage-collector-is-slow")
    settled.apply()
    with pytest.raises(OwnerTerminatingError):
        settled.reconcile()
    # What needs none of it is made meanwhile.
    assert settled.children() == ALL - {"Deployment", "ScaledObject"}
    status, reason, message = settled.condition("Ready")
    assert (status, reason) == ("Unknown", "PredecessorLeaving")
    assert f"ServiceAccount {CHILD} of an earlier calls" in message
    assert "PredecessorLeaving" not in settled.events()
    fake.remove(KINDS["ServiceAccount"], NAMESPACE, CHILD)
    settled.reconcile()
    assert settled.children() == ALL
    assert "NameTaken" not in settled.events()


def test_a_predecessor_that_does_not_leave_is_somebodys_task(settled: World, fake: FakeKube):
    left = settled.child(SCALED_OBJECT)
    left["metadata"]["finalizers"] = ["finalizer.keda.sh"]
    fake.remove(SERVICE, NAMESPACE, "calls")
    fake.create(left, "keda-is-down")
    settled.apply()
    for _ in range(2):
        with pytest.raises(OwnerTerminatingError):
            settled.reconcile()
    status, reason, message = settled.condition("Ready")
    assert (status, reason) == ("False", "PredecessorLeaving")
    assert "finalizer.keda.sh" in message
    assert "keda-operator" in message
    assert settled.condition("Degraded")[:2] == ("True", "PredecessorLeaving")
    assert settled.events().count("PredecessorLeaving") == 1


def test_a_first_sight_is_told_before_anything_else(world: World, fake: FakeKube):
    fake.refuse("list", "Pod", UnavailableError("list", "pods", "not now"))
    fake.refuse("create", "Deployment", UnavailableError("create", CHILD, "not now"))
    world.apply()
    with pytest.raises(UnavailableError):
        world.reconcile()
    for name in ("Ready", "QueueReachable", "QueueDurable", "AutoscalerReady", "Degraded"):
        assert world.condition(name)[:2] == ("Unknown", "Pending")
    fake.allow_all()
    world.reconcile()
    world.keda_says(Ready="True")
    world.reconcile()
    assert world.ready() == ("True", "Idle")


def test_an_error_that_lasts_is_told_and_one_that_passes_is_not(settled: World, fake: FakeKube):
    failure = ServerError("apply", CHILD, "failed calling webhook policy.example")
    fake.refuse("apply", "Deployment", failure)
    settled.apply(model={"image": "example/worker:0.2.0"})
    with pytest.raises(ServerError):
        settled.reconcile()
    assert settled.ready() == ("True", "Idle")
    for _ in range(2):
        with pytest.raises(ServerError):
            settled.reconcile()
    status, reason, message = settled.condition("Ready")
    assert (status, reason) == ("False", "APIServerError")
    assert "webhook policy.example" in message
    assert settled.events().count("APIServerError") == 1
    fake.allow_all()
    settled.reconcile()
    assert settled.ready() == ("True", "Idle")
    fake.refuse("apply", "Deployment", failure)
    settled.apply(model={"image": "example/worker:0.3.0"})
    with pytest.raises(ServerError):
        settled.reconcile()
    assert settled.ready() == ("True", "Idle")


def test_a_service_that_went_unseen_is_forgotten(
    settled: World, fake: FakeKube, queue: redis.Redis
):
    settled.deaf = True
    fake.remove(SERVICE, NAMESPACE, "calls")
    queue.xadd(settled.keys.stream("normal"), {"url": "https://example.org/a.wav"})
    with pytest.raises(NotFoundError):
        settled.reconcile()
    assert settled.reconcile() is None


def test_a_service_is_not_gone_because_one_answer_says_so(settled: World, fake: FakeKube):
    """An API server that has just started may not know the kind yet."""
    fake.refuse("get", "TranscriptionService", NotFoundError("get", "calls", "404 page not found"))
    assert settled.reconcile(3600) is not None
    fake.refuse("list", "TranscriptionService", NotFoundError("list", "", "404 page not found"))
    with pytest.raises(NotFoundError):
        settled.reconcile(3600)
    fake.allow_all()
    settled.apply(pools=[{"name": "main", "replicas": {"max": 9}}])
    settled.reconcile(3600)
    assert settled.child(SCALED_OBJECT)["spec"]["maxReplicaCount"] == 9


def test_a_child_that_is_no_longer_asked_for_goes(fake: FakeKube, tmp_path):
    with EmbeddedServer(options=[("requirepass", "one")]) as server:
        world = World(fake, server.url, tmp_path)
        world.make_secret("r", password="one")
        world.apply(queue={"redis": {"url": server.url, "credentials": {"secretName": "r"}}})
        world.reconcile()
        assert world.children() == ALL | {"TriggerAuthentication"}
        world.apply(queue={"redis": {"url": server.url}})
        world.reconcile()
        assert world.children() == ALL
        # Redis still wants a password: the last good state but for what is not asked for.
        assert world.ready() == ("False", "QueueRefused")

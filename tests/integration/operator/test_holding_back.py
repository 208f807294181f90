"""What is left as it is, or put to sleep: no Redis, suspended, another's, reconcile disabled."""

import redis

from support.operator.fake_kube import FakeKube
from support.operator.reconciling import ALL, World
from support.operator.services import CHILD
from support.operator.world import NAMESPACE
from whisperfleet_operator.kube.kinds import SCALED_OBJECT, SERVICE


def test_a_redis_that_is_down_holds_back_the_autoscaler_alone(fake: FakeKube, tmp_path):
    world = World(fake, "redis://127.0.0.1:1/0", tmp_path)
    world.apply()
    world.reconcile()
    assert world.ready() == ("False", "QueueUnreachable")
    assert "QueueUnreachable" in world.events()
    assert world.children() == ALL - {"ScaledObject"}


def test_a_fleet_can_be_suspended_while_redis_is_down(settled: World):
    settled.apply(suspend=True, queue={"redis": {"url": "redis://127.0.0.1:1/0"}})
    settled.reconcile()
    assert settled.ready() == ("False", "QueueUnreachable")
    annotations = settled.child(SCALED_OBJECT)["metadata"]["annotations"]
    assert annotations["autoscaling.keda.sh/paused-replicas"] == "0"


def test_a_suspended_fleet_says_so_and_wakes_again(settled: World):
    settled.apply(suspend=True)
    settled.reconcile()
    settled.keda_says(Ready="True", Paused="True")
    settled.reconcile()
    assert settled.ready() == ("False", "Suspended")
    settled.apply(suspend=False)
    settled.reconcile()
    annotations = settled.child(SCALED_OBJECT)["metadata"]["annotations"]
    assert "autoscaling.keda.sh/paused-replicas" not in annotations
    # KEDA's condition says what was until KEDA has looked again.
    assert settled.ready() == ("Unknown", "AutoscalerPending")
    assert settled.condition("Degraded")[0] == "False"
    settled.keda_says(Ready="True", Paused="False")
    settled.reconcile()
    assert settled.ready() == ("True", "Idle")
    assert "AutoscalerPaused" not in settled.events()


def test_another_clusters_queue_is_left_alone(world: World, queue: redis.Redis):
    queue.hset(world.keys.meta, "owner", "cluster-2/team-a/calls")
    world.apply()
    world.reconcile()
    assert world.ready() == ("False", "QueueOwnedByAnother")
    assert "ScaledObject" not in world.children()


def test_words_of_another_version_are_read_and_nothing_is_told_again(
    settled: World, fake: FakeKube
):
    before = {each["type"]: each for each in settled.service()["status"]["conditions"]}
    told = settled.events()

    def upgrade_and_back(live):
        conditions = live["status"]["conditions"]
        for each in conditions:
            each["lastTransitionTime"] = "2026-01-01T00:00:00Z"
        conditions[0]["reason"] = "WordOfTheFuture"
        conditions.append({**conditions[0], "type": "TypeOfTheFuture"})
        live["status"]["pools"][0]["reason"] = "AnotherWord"

    fake.edit(SERVICE, NAMESPACE, "calls", upgrade_and_back)
    settled.reconcile()
    after = {each["type"]: each for each in settled.service()["status"]["conditions"]}
    assert after.keys() == before.keys()
    for name, condition in after.items():
        assert condition["lastTransitionTime"] == "2026-01-01T00:00:00Z"
        assert condition["reason"] == before[name]["reason"]
    assert settled.events() == told


def _annotate(fake: FakeKube, value: str) -> None:
    fake.edit(
        SERVICE,
        *(NAMESPACE, "calls"),
        lambda live: live["metadata"].update(annotations={"whisperfleet.io/reconcile": value}),
    )


def test_reconcile_disabled(settled: World, fake: FakeKube):
    _annotate(fake, "disabled")
    fake.remove(SCALED_OBJECT, NAMESPACE, CHILD)
    settled.reconcile()
    assert settled.ready() == ("Unknown", "ReconcileDisabled")
    assert settled.children() == ALL - {"ScaledObject"}
    _annotate(fake, "enabled")
    settled.reconcile()
    assert settled.children() == ALL


def test_hands_on_again_is_noticed_though_no_watch_told(world: World, fake: FakeKube):
    world.apply()
    _annotate(fake, "disabled")
    world.reconcile()
    world.deaf = True
    _annotate(fake, "enabled")
    world.reconcile(3600)
    assert world.children() == ALL


def test_a_spec_of_another_version_is_told_and_left_alone(settled: World, fake: FakeKube):
    fake.edit(SERVICE, NAMESPACE, "calls", lambda live: live["spec"].update(pools=[]))
    settled.reconcile()
    assert settled.ready() == ("False", "InvalidSpec")
    assert "spec.pools" in settled.condition("Ready")[2]
    assert settled.children() == ALL

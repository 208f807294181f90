"""Looks at a service: what is made, mended, said, and left alone."""

import itertools
from collections.abc import Iterator
from datetime import datetime

import pytest
import redis

from operating.reconciling import KINDS, World, keda_schema
from operating.services import CHILD
from operating.world import NAMESPACE
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.queue import RedisSettings
from whisperfleet_operator.kube import (
    AlreadyExistsError,
    ForbiddenError,
    NotFoundError,
    ServerError,
    UnavailableError,
)
from whisperfleet_operator.kube.fake import FakeKube
from whisperfleet_operator.kube.kinds import DEPLOYMENT, POD, SCALED_OBJECT, SERVICE
from whisperfleet_operator.observe.children import LeavingError

ALL = {
    "Deployment",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "ScaledObject",
    "ServiceAccount",
}


@pytest.fixture
def settled(world: World) -> World:
    """A service that has all it needs, and an operator that has nothing more to say about it."""
    world.apply()
    world.look()
    world.keda_says(Ready="True", Active="False", Paused="False")
    world.look()
    assert world.ready() == ("True", "Idle")
    world.writes()
    return world


def test_a_first_look_makes_everything_in_order(world: World):
    world.apply()
    assert world.look() == pytest.approx(10, abs=1)
    assert world.children() == ALL
    writes = world.writes()
    assert writes[:2] == ["patch_status TranscriptionService", "create Deployment"]
    assert writes.index("apply Deployment") < writes.index("apply ScaledObject")
    assert writes[-2:] == ["patch_status TranscriptionService", "create Event"]
    deployment = world.child()
    assert deployment["spec"]["replicas"] == 0
    assert deployment["metadata"]["ownerReferences"][0]["uid"] == world.service()["metadata"]["uid"]


def test_streams_are_there_before_the_autoscaler(world: World, fake: FakeKube, queue: redis.Redis):
    fake.refuse("apply", "ScaledObject", UnavailableError("apply", CHILD, "not now"))
    world.apply()
    with pytest.raises(UnavailableError):
        world.look()
    assert queue.exists(world.keys.stream("high"), world.keys.stream("low")) == 2


def test_a_second_look_writes_nothing(settled: World):
    for _ in range(3):
        settled.look()
    # Longer than a resync, which reads everything anew.
    settled.look(3600)
    assert settled.writes() == []


def test_an_operator_that_begins_anew_writes_nothing(settled: World):
    settled.restart()
    settled.look()
    settled.look()
    assert settled.writes() == []


def test_the_replicas_are_the_autoscalers(settled: World, fake: FakeKube):
    fake.edit(DEPLOYMENT, NAMESPACE, CHILD, lambda live: live["spec"].update(replicas=2))
    settled.apply(model={"image": "example/worker:0.2.0"})
    settled.look()
    deployment = settled.child()
    assert deployment["spec"]["replicas"] == 2
    (worker,) = deployment["spec"]["template"]["spec"]["containers"]
    assert worker["image"] == "example/worker:0.2.0"


@pytest.mark.parametrize("kind", sorted(ALL))
def test_a_deleted_child_comes_back(settled: World, fake: FakeKube, kind: str):
    fake.remove(KINDS[kind], NAMESPACE, CHILD)
    settled.look()
    assert settled.children() == ALL


@pytest.mark.parametrize("kind", sorted(ALL))
def test_a_child_whose_end_no_watch_told_comes_back_with_the_resync(
    settled: World, fake: FakeKube, kind: str
):
    settled.deaf = True
    fake.remove(KINDS[kind], NAMESPACE, CHILD)
    settled.look(3600)
    assert settled.children() == ALL


def test_an_edit_by_hand_is_undone_and_what_others_add_stays(settled: World, fake: FakeKube):
    def edit(live):
        live["spec"]["maxReplicaCount"] = 99
        live["metadata"]["labels"]["theirs"] = "1"

    fake.edit(SCALED_OBJECT, NAMESPACE, CHILD, edit)
    settled.look()
    scaler = settled.child(SCALED_OBJECT)
    assert scaler["spec"]["maxReplicaCount"] == 3
    assert scaler["metadata"]["labels"]["theirs"] == "1"
    assert settled.writes() == ["apply ScaledObject"]


def test_two_operators_do_not_fight(settled: World):
    other = World.__new__(World)
    other.__dict__.update(settled.__dict__)
    other.restart()
    settled.apply(model={"image": "example/worker:0.2.0"})
    settled.look()
    settled.writes()
    for _ in range(3):
        other.look()
        settled.look()
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
            world.look()
        except UnavailableError:
            continue
        finally:
            fake._check = original
        break
    assert survived >= 2
    assert world.children() == ALL
    assert world.child()["spec"]["replicas"] == 0
    world.keda_says(Ready="True")
    world.look()
    world.writes()
    world.look()
    assert world.writes() == []


def test_the_end_of_a_service_is_the_end_of_looking(settled: World, fake: FakeKube):
    fake.remove(SERVICE, NAMESPACE, "calls")
    assert settled.look() is None
    assert settled.children() == set()
    assert settled.writes() == []
    assert next(iter(settled.census.collect())).samples == []


def test_a_successor_waits_for_what_is_left_of_its_predecessor(settled: World, fake: FakeKube):
    """Children are deleted after their owner, and the name may be in use again by then."""
    left = settled.child(KINDS["ServiceAccount"])
    fake.remove(SERVICE, NAMESPACE, "calls")
    fake.create({**left, "metadata": {**left["metadata"]}}, "garbage-collector-is-slow")
    settled.apply()
    with pytest.raises(LeavingError):
        settled.look()
    assert settled.children() == {"ServiceAccount"}
    status, reason, message = settled.condition("Ready")
    assert (status, reason) == ("Unknown", "PredecessorLeaving")
    assert f"ServiceAccount {CHILD} of an earlier calls" in message
    assert "PredecessorLeaving" not in settled.events()
    fake.remove(KINDS["ServiceAccount"], NAMESPACE, CHILD)
    settled.look()
    assert settled.children() == ALL
    assert "NameTaken" not in settled.events()


def test_a_predecessor_that_does_not_leave_is_somebodys_task(settled: World, fake: FakeKube):
    left = settled.child(SCALED_OBJECT)
    left["metadata"]["finalizers"] = ["finalizer.keda.sh"]
    fake.remove(SERVICE, NAMESPACE, "calls")
    fake.create(left, "keda-is-down")
    settled.apply()
    for _ in range(2):
        with pytest.raises(LeavingError):
            settled.look()
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
        world.look()
    for name in ("Ready", "QueueReachable", "QueueDurable", "AutoscalerReady", "Degraded"):
        assert world.condition(name)[:2] == ("Unknown", "Pending")
    fake.allow_all()
    world.look()
    world.keda_says(Ready="True")
    world.look()
    assert world.ready() == ("True", "Idle")


def test_an_error_that_lasts_is_told_and_one_that_passes_is_not(settled: World, fake: FakeKube):
    failure = ServerError("apply", CHILD, "failed calling webhook policy.example")
    fake.refuse("apply", "Deployment", failure)
    settled.apply(model={"image": "example/worker:0.2.0"})
    with pytest.raises(ServerError):
        settled.look()
    assert settled.ready() == ("True", "Idle")
    for _ in range(2):
        with pytest.raises(ServerError):
            settled.look()
    status, reason, message = settled.condition("Ready")
    assert (status, reason) == ("False", "APIServerError")
    assert "webhook policy.example" in message
    assert settled.events().count("APIServerError") == 1
    fake.allow_all()
    settled.look()
    assert settled.ready() == ("True", "Idle")
    fake.refuse("apply", "Deployment", failure)
    settled.apply(model={"image": "example/worker:0.3.0"})
    with pytest.raises(ServerError):
        settled.look()
    assert settled.ready() == ("True", "Idle")


def test_a_service_that_went_unseen_is_forgotten(
    settled: World, fake: FakeKube, queue: redis.Redis
):
    settled.deaf = True
    fake.remove(SERVICE, NAMESPACE, "calls")
    queue.xadd(settled.keys.stream("normal"), {"url": "https://example.org/a.wav"})
    with pytest.raises(NotFoundError):
        settled.look()
    assert settled.look() is None


def test_a_name_that_is_taken_stops_everything(world: World, fake: FakeKube):
    theirs = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": CHILD, "namespace": NAMESPACE},
        "spec": {"maxUnavailable": 0},
    }
    fake.create(theirs, "somebody")
    world.writes()
    world.apply()
    world.look()
    status, reason, message = world.condition("Ready")
    assert (status, reason) == ("False", "NameTaken")
    assert f"PodDisruptionBudget {CHILD}" in message
    assert world.children() == set()
    assert world.child(KINDS["PodDisruptionBudget"])["spec"] == {"maxUnavailable": 0}
    # Nobody tells of the end of what has not our labels.
    fake.remove(KINDS["PodDisruptionBudget"], NAMESPACE, CHILD)
    world.look()
    assert world.children() == ALL


def test_what_the_api_server_refuses_is_told_and_the_rest_goes_on(world: World, fake: FakeKube):
    fake.refuse("apply", "NetworkPolicy", ForbiddenError("apply", CHILD, "admission says no"))
    world.apply()
    world.look()
    status, reason, message = world.condition("Ready")
    assert (status, reason) == ("False", "ApplyRefused")
    assert "NetworkPolicy calls-main: admission says no" in message
    assert world.children() == ALL - {"NetworkPolicy"}


def test_a_birth_that_is_refused_buys_no_pod(world: World, fake: FakeKube):
    refusal = ForbiddenError("create", CHILD, "limits are asked for")
    fake.refuse("create", "Deployment", refusal)
    world.apply()
    world.look()
    assert world.children() == ALL - {"Deployment"}
    status, reason, message = world.condition("Ready")
    assert (status, reason) == ("False", "ApplyRefused")
    assert "Deployment calls-main: limits are asked for" in message
    fake.allow_all()
    world.look()
    assert world.child()["spec"]["replicas"] == 0


def test_a_deployment_that_went_unseen_is_born_anew_without_pods(settled: World, fake: FakeKube):
    settled.deaf = True
    fake.remove(DEPLOYMENT, NAMESPACE, CHILD)
    settled.deaf = False
    settled.apply(model={"image": "example/worker:0.2.0"})
    with pytest.raises(AlreadyExistsError):
        settled.look()
    assert "Deployment" not in settled.children()
    settled.look()
    assert settled.child()["spec"]["replicas"] == 0


def test_a_quota_on_objects_is_named(world: World, fake: FakeKube):
    reason = "exceeded quota: few, requested: count/deployments.apps=1"
    fake.refuse("create", "Deployment", ForbiddenError("create", CHILD, reason))
    world.apply()
    world.look()
    assert world.ready() == ("False", "QuotaExceeded")
    assert "count/deployments.apps" in world.condition("Ready")[2]


def test_without_keda_the_rest_is_made_and_keda_is_asked_for(world: World, fake: FakeKube):
    documents, fake.documents = fake.documents, {"/openapi/v3": {"paths": {}}}
    world.apply()
    world.look()
    assert world.ready() == ("False", "KedaMissing")
    assert world.children() == ALL - {"ScaledObject"}
    assert "KedaMissing" in world.events()
    fake.documents = documents
    world.look()
    assert world.children() == ALL


def test_a_keda_that_is_too_old_is_named(world: World, fake: FakeKube):
    fake.documents.update(keda_schema(replicas={"type": "integer"}))
    world.apply()
    world.look()
    assert world.ready() == ("False", "KedaTooOld")
    assert "2.17" in world.condition("AutoscalerReady")[2]


def test_a_keda_that_does_nothing_is_noticed(settled: World, fake: FakeKube, queue: redis.Redis):
    job = queue.xadd(settled.keys.stream("normal"), {"url": "https://example.org/a.wav"})
    settled.look()
    settled.look(20)
    assert settled.ready() == ("True", "ScalingUp")
    settled.look(20)
    status, reason, message = settled.condition("AutoscalerReady")
    assert (status, reason) == ("False", "AutoscalerSilent")
    assert "keda-operator" in message
    assert settled.ready() == ("False", "AutoscalerSilent")
    assert settled.events().count("AutoscalerSilent") == 1
    # An operator that begins anew takes nothing back.
    settled.restart()
    settled.look()
    assert settled.ready() == ("False", "AutoscalerSilent")
    fake.edit(DEPLOYMENT, NAMESPACE, CHILD, lambda live: live["spec"].update(replicas=1))
    settled.look()
    assert settled.condition("AutoscalerReady")[0] == "True"
    queue.xdel(settled.keys.stream("normal"), job)
    fake.edit(DEPLOYMENT, NAMESPACE, CHILD, lambda live: live["spec"].update(replicas=0))
    settled.look(600)
    assert settled.ready() == ("True", "Idle")
    assert settled.events().count("AutoscalerSilent") == 1


def test_a_fleet_that_is_told_to_sleep_is_not_overdue(settled: World, queue: redis.Redis):
    queue.xadd(settled.keys.stream("normal"), {"url": "https://example.org/a.wav"})
    settled.apply(suspend=True)
    settled.look()
    settled.look(600)
    assert settled.ready()[1] == "Suspended"
    settled.apply(suspend=False)
    settled.look(600)
    assert settled.condition("AutoscalerReady")[0] == "True"


def test_a_keda_that_goes_leaves_the_last_good_state(settled: World, fake: FakeKube):
    fake.documents = {"/openapi/v3": {"paths": {}}}
    settled.look()
    assert settled.ready() == ("False", "KedaMissing")
    assert settled.children() == ALL


def test_a_missing_secret_changes_nothing_and_is_asked_for(world: World):
    world.apply(queue={"redis": {"url": world.settings.url, "credentials": {"secretName": "r"}}})
    world.look()
    status, reason, message = world.condition("Ready")
    assert (status, reason) == ("False", "SecretMissing")
    assert "create it with the key password" in message
    assert world.children() == set()


def test_a_secret_without_its_key_is_named(world: World):
    world.make_secret("r", username="someone")
    world.apply(queue={"redis": {"url": world.settings.url, "credentials": {"secretName": "r"}}})
    world.look()
    assert "the key password" in world.condition("Ready")[2]


@pytest.fixture
def guarded(fake: FakeKube, tmp_path) -> Iterator[World]:
    """A service whose Redis wants the password `one`, and knows it."""
    with EmbeddedServer(options=[("requirepass", "one")]) as server:
        world = World(fake, server.url, tmp_path)
        world.make_secret("r", password="one")
        world.apply(queue={"redis": {"url": server.url, "credentials": {"secretName": "r"}}})
        world.look()
        yield world


def _let_in(world: World, password: str) -> None:
    with RedisSettings(world.settings.url, password="one").connect() as client:
        client.acl_setuser("default", enabled=True, passwords=[f"+{password}"])


def test_new_credentials_roll_the_workers(guarded: World):
    before = guarded.child()["spec"]["template"]["metadata"]["annotations"]
    guarded.look()
    assert guarded.child()["spec"]["template"]["metadata"]["annotations"] == before
    _let_in(guarded, "two")
    guarded.make_secret("r", password="two")
    guarded.look()
    after = guarded.child()["spec"]["template"]["metadata"]["annotations"]
    assert after != before
    assert "two" not in str(guarded.child())


def test_a_write_to_a_secret_that_changes_nothing_of_use_rolls_nothing(guarded: World):
    guarded.look()
    before = guarded.child()["spec"]["template"]
    guarded.make_secret("r", labels={"team": "a"}, password="one")
    guarded.look()
    guarded.make_secret("r", labels={"team": "a"}, password="one", another="key")
    guarded.look()
    assert guarded.child()["spec"]["template"] == before
    # Nor does an operator that begins anew, which remembers nothing.
    guarded.restart()
    guarded.look()
    assert guarded.child()["spec"]["template"] == before
    guarded.writes()
    guarded.look()
    assert guarded.writes() == []
    _let_in(guarded, "two")
    guarded.make_secret("r", password="two")
    guarded.look()
    assert guarded.child()["spec"]["template"] != before


def test_credentials_that_changed_while_no_operator_ran_roll_the_workers(guarded: World):
    guarded.look()
    before = guarded.child()["spec"]["template"]
    _let_in(guarded, "two")
    guarded.make_secret("r", password="two")
    guarded.restart()
    guarded.look()
    assert guarded.child()["spec"]["template"] != before


def test_what_lets_keda_in_comes_back_deleted_or_edited(guarded: World, fake: FakeKube):
    authentication = KINDS["TriggerAuthentication"]
    wanted = guarded.child(authentication)["spec"]
    fake.remove(authentication, NAMESPACE, CHILD)
    guarded.look()
    assert guarded.child(authentication)["spec"] == wanted
    fake.edit(
        authentication, NAMESPACE, CHILD, lambda live: live["spec"].update(secretTargetRef=[])
    )
    guarded.look()
    assert guarded.child(authentication)["spec"] == wanted


def test_credentials_that_redis_refuses_roll_nothing(guarded: World):
    before = guarded.child()["spec"]["template"]
    guarded.make_secret("r", password="mistyped")
    guarded.look()
    assert guarded.ready() == ("False", "QueueRefused")
    assert guarded.child()["spec"]["template"] == before
    _let_in(guarded, "mistyped")
    guarded.look()
    assert guarded.condition("QueueReachable")[0] == "True"
    assert guarded.child()["spec"]["template"] != before


def test_a_redis_that_is_down_holds_back_the_autoscaler_alone(fake: FakeKube, tmp_path):
    world = World(fake, "redis://127.0.0.1:1/0", tmp_path)
    world.apply()
    world.look()
    assert world.ready() == ("False", "QueueUnreachable")
    assert "QueueUnreachable" in world.events()
    assert world.children() == ALL - {"ScaledObject"}


def test_a_fleet_can_be_suspended_while_redis_is_down(settled: World):
    settled.apply(suspend=True, queue={"redis": {"url": "redis://127.0.0.1:1/0"}})
    settled.look()
    assert settled.ready() == ("False", "QueueUnreachable")
    annotations = settled.child(SCALED_OBJECT)["metadata"]["annotations"]
    assert annotations["autoscaling.keda.sh/paused-replicas"] == "0"


def test_a_suspended_fleet_says_so_and_wakes_again(settled: World):
    settled.apply(suspend=True)
    settled.look()
    settled.keda_says(Ready="True", Paused="True")
    settled.look()
    assert settled.ready() == ("False", "Suspended")
    settled.apply(suspend=False)
    settled.look()
    annotations = settled.child(SCALED_OBJECT)["metadata"]["annotations"]
    assert "autoscaling.keda.sh/paused-replicas" not in annotations
    # KEDA's condition says what was until KEDA has looked again.
    assert settled.ready() == ("Unknown", "AutoscalerPending")
    assert settled.condition("Degraded")[0] == "False"
    settled.keda_says(Ready="True", Paused="False")
    settled.look()
    assert settled.ready() == ("True", "Idle")
    assert "AutoscalerPaused" not in settled.events()


def test_another_clusters_queue_is_left_alone(world: World, queue: redis.Redis):
    queue.hset(world.keys.meta, "owner", "cluster-2/team-a/calls")
    world.apply()
    world.look()
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
    settled.look()
    after = {each["type"]: each for each in settled.service()["status"]["conditions"]}
    assert after.keys() == before.keys()
    for name, condition in after.items():
        assert condition["lastTransitionTime"] == "2026-01-01T00:00:00Z"
        assert condition["reason"] == before[name]["reason"]
    assert settled.events() == told


def test_hands_off(settled: World, fake: FakeKube):
    def annotate(value):
        fake.edit(
            SERVICE,
            *(NAMESPACE, "calls"),
            lambda live: live["metadata"].update(annotations={"whisperfleet.io/reconcile": value}),
        )

    annotate("disabled")
    fake.remove(SCALED_OBJECT, NAMESPACE, CHILD)
    settled.look()
    assert settled.ready() == ("Unknown", "ReconcileDisabled")
    assert settled.children() == ALL - {"ScaledObject"}
    annotate("enabled")
    settled.look()
    assert settled.children() == ALL


def test_hands_on_again_is_noticed_though_no_watch_told(world: World, fake: FakeKube):
    def annotate(value):
        fake.edit(
            SERVICE,
            *(NAMESPACE, "calls"),
            lambda live: live["metadata"].update(annotations={"whisperfleet.io/reconcile": value}),
        )

    world.apply()
    annotate("disabled")
    world.look()
    world.deaf = True
    annotate("enabled")
    world.look(3600)
    assert world.children() == ALL


def test_a_spec_of_another_version_is_told_and_left_alone(settled: World, fake: FakeKube):
    fake.edit(SERVICE, NAMESPACE, "calls", lambda live: live["spec"].update(pools=[]))
    settled.look()
    assert settled.ready() == ("False", "InvalidSpec")
    assert "spec.pools" in settled.condition("Ready")[2]
    assert settled.children() == ALL


def test_a_child_that_is_no_longer_asked_for_goes(fake: FakeKube, tmp_path):
    with EmbeddedServer(options=[("requirepass", "one")]) as server:
        world = World(fake, server.url, tmp_path)
        world.make_secret("r", password="one")
        world.apply(queue={"redis": {"url": server.url, "credentials": {"secretName": "r"}}})
        world.look()
        assert world.children() == ALL | {"TriggerAuthentication"}
        world.apply(queue={"redis": {"url": server.url}})
        world.look()
        assert world.children() == ALL
        # Redis still wants a password: the last good state but for what is not asked for.
        assert world.ready() == ("False", "QueueRefused")


def test_pods_are_counted_from_the_first_look_of_an_operator_on(settled: World, fake: FakeKube):
    fake.edit(DEPLOYMENT, NAMESPACE, CHILD, lambda live: live["spec"].update(replicas=1))
    labels = settled.child()["spec"]["template"]["metadata"]["labels"]
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    fake.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p", "namespace": NAMESPACE, "labels": labels},
            "status": ready,
        },
        "kubelet",
    )
    settled.deaf = True
    settled.restart()
    settled.look()
    assert settled.service()["status"]["replicas"] == "1/1"
    assert fake.list(POD, NAMESPACE, "")


def test_the_depth_of_the_queue_is_in_the_status_and_in_the_metrics(
    settled: World, queue: redis.Redis
):
    queue.xadd(settled.keys.stream("normal"), {"url": "https://example.org/a.wav"})
    settled.look()
    depths = settled.service()["status"]["queue"]
    assert (depths["queued"], depths["running"], depths["deadLetters"]) == (1, 0, 0)
    assert depths["oldestEnqueueTime"].endswith("Z")
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in settled.census.collect()
        for sample in family.samples
    }
    assert samples["whisperfleet_queue_queued", NAMESPACE, "calls"] == 1
    assert samples["whisperfleet_operator_services", "Ready", "True", "ScalingUp"] == 1
    oldest = datetime.fromisoformat(depths["oldestEnqueueTime"]).timestamp()
    assert samples["whisperfleet_queue_oldest_timestamp_seconds", NAMESPACE, "calls"] == oldest
    queue.delete(settled.keys.stream("normal"))
    settled.look()
    assert "oldestEnqueueTime" not in settled.service()["status"]["queue"]
    oldest_of_none = [
        family.samples
        for family in settled.census.collect()
        if family.name == "whisperfleet_queue_oldest_timestamp_seconds"
    ]
    assert oldest_of_none == [[]]


def test_what_a_pool_does_is_in_the_metrics(settled: World, fake: FakeKube):
    fake.edit(DEPLOYMENT, NAMESPACE, CHILD, lambda live: live["spec"].update(replicas=2))
    settled.look()
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in settled.census.collect()
        for sample in family.samples
    }
    place = (NAMESPACE, "calls", "main")
    assert samples["whisperfleet_pool_replicas", *place, "desired"] == 2
    assert samples["whisperfleet_pool_replicas", *place, "ready"] == 0
    reasons = [labels for labels in samples if labels[0] == "whisperfleet_pool_reason"]
    assert reasons == [("whisperfleet_pool_reason", *place, "ScalingUp")]

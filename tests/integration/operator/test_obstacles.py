"""What stands in a service's way: names, refusals, quotas, KEDA."""

import pytest
import redis

from support.operator.fake_kube import FakeKube
from support.operator.reconciling import ALL, KINDS, World, keda_schema
from support.operator.services import CHILD
from support.operator.world import NAMESPACE, waiting_pod
from whisperfleet_operator.kube import (
    AlreadyExistsError,
    ForbiddenError,
    ServerError,
)
from whisperfleet_operator.kube.kinds import DEPLOYMENT, SERVICE


def test_a_name_that_is_taken_holds_up_nothing_else(world: World, fake: FakeKube):
    theirs = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": CHILD, "namespace": NAMESPACE},
        "spec": {"maxUnavailable": 0},
    }
    fake.create(theirs, "somebody")
    world.writes()
    world.apply()
    world.reconcile()
    status, reason, message = world.condition("Ready")
    assert (status, reason) == ("False", "NameTaken")
    assert f"PodDisruptionBudget {CHILD}" in message
    assert f"kubectl -n {NAMESPACE} delete poddisruptionbudgets.policy/{CHILD}" in message
    assert world.children() == ALL - {"PodDisruptionBudget"}
    assert world.child(KINDS["PodDisruptionBudget"])["spec"] == {"maxUnavailable": 0}
    # Nobody tells of the end of what has not our labels.
    fake.remove(KINDS["PodDisruptionBudget"], NAMESPACE, CHILD)
    world.reconcile()
    assert world.children() == ALL


def test_what_the_api_server_refuses_is_told_and_the_rest_goes_on(world: World, fake: FakeKube):
    fake.refuse("apply", "NetworkPolicy", ForbiddenError("apply", CHILD, "admission says no"))
    world.apply()
    world.reconcile()
    status, reason, message = world.condition("Ready")
    assert (status, reason) == ("False", "ApplyRefused")
    assert "NetworkPolicy calls-main: admission says no" in message
    assert world.children() == ALL - {"NetworkPolicy"}


def test_a_birth_that_is_refused_buys_no_pod(world: World, fake: FakeKube):
    refusal = ForbiddenError("create", CHILD, "limits are asked for")
    fake.refuse("create", "Deployment", refusal)
    world.apply()
    world.reconcile()
    assert world.children() == ALL - {"Deployment"}
    status, reason, message = world.condition("Ready")
    assert (status, reason) == ("False", "ApplyRefused")
    assert "Deployment calls-main: limits are asked for" in message
    fake.allow_all()
    world.reconcile()
    assert world.child()["spec"]["replicas"] == 0


def test_a_deployment_that_went_unseen_is_born_anew_without_pods(settled: World, fake: FakeKube):
    settled.deaf = True
    fake.remove(DEPLOYMENT, NAMESPACE, CHILD)
    settled.deaf = False
    settled.apply(model={"image": "example/worker:0.2.0"})
    with pytest.raises(AlreadyExistsError):
        settled.reconcile()
    assert "Deployment" not in settled.children()
    settled.reconcile()
    assert settled.child()["spec"]["replicas"] == 0


def test_a_quota_on_objects_is_named(world: World, fake: FakeKube):
    reason = "exceeded quota: few, requested: count/deployments.apps=1"
    fake.refuse("create", "Deployment", ForbiddenError("create", CHILD, reason))
    world.apply()
    world.reconcile()
    assert world.ready() == ("False", "QuotaExceeded")
    assert "count/deployments.apps" in world.condition("Ready")[2]


def test_without_keda_the_rest_is_made_and_keda_is_asked_for(world: World, fake: FakeKube):
    documents, fake.documents = fake.documents, {"/openapi/v3": {"paths": {}}}
    world.apply()
    assert world.reconcile() == 1
    # Once is not enough to know.
    assert world.ready() == ("Unknown", "AutoscalerPending")
    world.reconcile()
    assert world.ready() == ("False", "KedaMissing")
    assert world.children() == ALL - {"ScaledObject"}
    assert "KedaMissing" in world.events()
    fake.documents = documents
    world.reconcile()
    assert world.children() == ALL


def test_a_keda_that_is_too_old_is_named(world: World, fake: FakeKube):
    fake.documents.update(keda_schema(replicas={"type": "integer"}))
    world.apply()
    world.reconcile()
    assert world.ready() == ("False", "KedaTooOld")
    assert "2.17" in world.condition("AutoscalerReady")[2]


def test_a_fleet_that_is_told_to_sleep_is_not_overdue(settled: World, queue: redis.Redis):
    queue.xadd(settled.keys.stream("normal"), {"url": "https://example.org/a.wav"})
    settled.apply(suspend=True)
    settled.reconcile()
    settled.reconcile(600)
    assert settled.ready()[1] == "Suspended"
    settled.apply(suspend=False)
    settled.reconcile(600)
    assert settled.condition("AutoscalerReady")[0] == "True"


def test_a_keda_that_goes_leaves_the_last_good_state(settled: World, fake: FakeKube):
    fake.documents = {"/openapi/v3": {"paths": {}}}
    settled.reconcile()
    assert settled.ready() == ("True", "Idle")
    settled.reconcile()
    assert settled.ready() == ("False", "KedaMissing")
    assert settled.children() == ALL


def test_all_names_that_are_taken_are_told_with_one_command(world: World, fake: FakeKube):
    for kind in ("Deployment", "ServiceAccount"):
        fake.create(
            {
                "apiVersion": KINDS[kind].api_version,
                "kind": kind,
                "metadata": {"name": CHILD, "namespace": NAMESPACE, "labels": {"app": "theirs"}},
                "spec": {"replicas": 7},
            },
            "somebody",
        )
    world.apply()
    world.reconcile()
    message = world.condition("Ready")[2]
    assert f"delete deployments.apps/{CHILD} serviceaccounts/{CHILD}" in message
    # Nothing of somebody else's is ever scaled.
    assert world.children() == {"NetworkPolicy", "PodDisruptionBudget"}
    assert world.child()["spec"]["replicas"] == 7


def _orphan(live) -> None:
    del live["metadata"]["ownerReferences"]


def test_children_without_an_owner_are_adopted(settled: World, fake: FakeKube):
    """As `--cascade=orphan` leaves them, and as a backup brings them back."""
    uids = {}
    for name in sorted(ALL):
        fake.edit(KINDS[name], NAMESPACE, CHILD, _orphan)
        uids[name] = settled.child(KINDS[name])["metadata"]["uid"]
    fake.remove(SERVICE, NAMESPACE, "calls")
    settled.restart()
    settled.apply()
    settled.reconcile()
    settled.reconcile()
    assert settled.condition("AutoscalerReady")[0] == "True"
    assert "NameTaken" not in settled.events()
    uid = settled.service()["metadata"]["uid"]
    for name in sorted(ALL):
        metadata = settled.child(KINDS[name])["metadata"]
        assert metadata["uid"] == uids[name]
        assert metadata["ownerReferences"][0]["uid"] == uid


def test_what_nobody_owns_and_nobody_asks_for_is_not_deleted(settled: World, fake: FakeKube):
    fake.edit(DEPLOYMENT, NAMESPACE, CHILD, _orphan)
    settled.apply(pools=[{"name": "other", "replicas": {"max": 1}}])
    settled.reconcile()
    assert settled.child()["metadata"]["name"] == CHILD


def test_a_failure_in_one_part_holds_up_no_other(settled: World, fake: FakeKube):
    failure = ServerError("apply", CHILD, "failed calling webhook policy.example")
    fake.refuse("apply", "NetworkPolicy", failure)
    settled.apply(
        input={"allowedNetworks": ["10.20.0.0/16"]},
        model={"image": "example/worker:0.2.0"},
        pools=[{"name": "main", "replicas": {"max": 9}}],
    )
    with pytest.raises(ServerError):
        settled.reconcile()
    assert settled.child(KINDS["ScaledObject"])["spec"]["maxReplicaCount"] == 9
    assert "example/worker:0.2.0" in str(settled.child())


def test_a_secret_that_the_template_names_is_asked_for(settled: World):
    reference = {"secretKeyRef": {"name": "more", "key": "token"}}
    keys = {"secretName": "more", "items": [{"key": "b", "path": "b"}]}
    template = {
        "env": [{"name": "TOKEN", "valueFrom": reference}],
        "volumes": [{"name": "keys", "secret": keys}],
    }
    settled.apply(pools=[{"name": "main", "replicas": {"max": 3}, "template": template}])
    settled.reconcile()
    status, reason, message = settled.condition("Ready")
    assert (status, reason) == ("False", "SecretMissing")
    assert "the Secret more does not exist" in message
    assert "the variable TOKEN in template.env of the pool main" in message
    # It is carried out all the same.
    assert "TOKEN" in str(settled.child())
    settled.make_secret("more", token="")
    settled.reconcile()
    assert "has no key b: add it" in settled.condition("Ready")[2]
    settled.make_secret("more", token="", b="")
    settled.reconcile()
    assert settled.condition("Degraded")[0] == "False"


def test_a_registrys_secret_is_asked_for_where_an_image_cannot_be_had(
    settled: World, fake: FakeKube
):
    template = {"imagePullSecrets": [{"name": "registry"}]}
    settled.apply(pools=[{"name": "main", "replicas": {"max": 3}, "template": template}])
    settled.reconcile()
    assert settled.condition("Ready")[0] == "True"
    waiting = waiting_pod({"state": {"waiting": {"reason": "ErrImagePull"}}})
    waiting["metadata"]["labels"] = settled.child()["metadata"]["labels"]
    fake.create(waiting, "somebody")
    settled.reconcile()
    message = settled.condition("Ready")[2]
    assert "the Secret registry does not exist" in message
    assert "template.imagePullSecrets of the pool main" in message


def test_a_webhook_that_changes_a_child_is_said_and_not_fought(settled: World, fake: FakeKube):
    def mirror(obj):
        if obj["kind"] == "Deployment":
            for container in obj["spec"]["template"]["spec"]["containers"]:
                container["image"] = "mirror/worker:1"

    fake.webhook = mirror
    settled.apply(model={"image": "example/worker:0.2.0"})
    settled.reconcile()
    assert settled.writes().count("apply Deployment") == 1
    for _ in range(5):
        settled.reconcile(3600)
    assert settled.writes() == []
    assert settled.condition("Ready")[0] == "True"
    status, reason, message = settled.condition("Degraded")
    assert (status, reason) == ("False", "ChangedByAnother")
    assert "spec.template.spec.containers[worker].image of the Deployment calls-main" in message
    assert settled.events().count("ChangedByAnother") == 1
    # Another wish is written, and so is the old one to what somebody has changed since.
    settled.apply(model={"image": "example/worker:0.3.0"})
    settled.reconcile()
    assert settled.writes().count("apply Deployment") == 1
    fake.webhook = lambda _obj: None
    fake.edit(
        *(DEPLOYMENT, NAMESPACE, CHILD),
        lambda live: live["metadata"]["annotations"].update({"whisperfleet.io/again": "1"}),
    )
    settled.reconcile()
    (container,) = settled.child()["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "example/worker:0.3.0"
    assert settled.condition("Degraded")[:2] == ("False", "AsExpected")


def test_another_writer_is_not_fought_for_ever(settled: World, fake: FakeKube):
    def change(live):
        live["spec"]["maxReplicaCount"] = 99

    kind = KINDS["ScaledObject"]
    for _ in range(600):
        fake.edit(kind, NAMESPACE, CHILD, change)
        settled.reconcile(1)
    applied = settled.writes().count("apply ScaledObject")
    assert 3 < applied < 15
    assert settled.condition("Degraded")[1] == "ChangedByAnother"
    # Who edits by hand, later, is undone at once.
    settled.reconcile(3600)
    fake.edit(kind, NAMESPACE, CHILD, change)
    settled.reconcile(3600)
    assert settled.child(kind)["spec"]["maxReplicaCount"] == 3

"""What stands in a service's way: names, refusals, quotas, KEDA."""

import pytest
import redis

from operating.reconciling import ALL, KINDS, World, keda_schema
from operating.services import CHILD
from operating.world import NAMESPACE
from whisperfleet_operator.kube import (
    AlreadyExistsError,
    ForbiddenError,
)
from whisperfleet_operator.kube.fake import FakeKube
from whisperfleet_operator.kube.kinds import DEPLOYMENT


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

"""The Secret of a queue: missing, changed, refused."""

import hashlib

from support.operator.fake_kube import FakeKube
from support.operator.reconciling import ALL, KINDS, World
from support.operator.services import CHILD
from support.operator.world import NAMESPACE
from whisperfleet.queue import RedisSettings
from whisperfleet_operator.kube import ForbiddenError
from whisperfleet_operator.kube.kinds import DEPLOYMENT, SCALED_OBJECT, SECRET
from whisperfleet_operator.observe import SecretReader
from whisperfleet_operator.plan import SecretNeed
from whisperfleet_operator.resource.names import CREDENTIALS_ANNOTATION


def test_a_missing_secret_is_asked_for_and_holds_up_the_autoscaler_alone(world: World):
    world.apply(queue={"redis": {"url": world.settings.url, "credentials": {"secretName": "r"}}})
    world.reconcile()
    status, reason, message = world.condition("Ready")
    assert (status, reason) == ("False", "SecretMissing")
    assert "create it with the key password" in message
    assert "spec.queue.redis.credentials" in message
    assert world.children() == ALL - {"ScaledObject"}
    assert world.child()["spec"]["replicas"] == 0


def test_a_secret_that_goes_holds_up_no_change(guarded: World, fake: FakeKube):
    before = guarded.child()["spec"]["template"]
    fake.remove(SECRET, NAMESPACE, "r")
    redis = {"url": guarded.settings.url, "credentials": {"secretName": "r"}}
    guarded.apply(suspend=True, queue={"redis": redis}, model={"image": "example/worker:0.2.0"})
    guarded.writes()
    guarded.reconcile()
    assert guarded.ready() == ("False", "SecretMissing")
    # To sleep first, then the rest.
    assert guarded.writes()[:2] == ["apply ScaledObject", "apply Deployment"]
    annotations = guarded.child(SCALED_OBJECT)["metadata"]["annotations"]
    assert annotations["autoscaling.keda.sh/paused-replicas"] == "0"
    after = guarded.child()["spec"]["template"]
    assert after["spec"]["containers"][0]["image"] == "example/worker:0.2.0"
    # The pods go on under the credentials that they have.
    assert after["metadata"] == before["metadata"]


def test_a_secret_that_may_not_be_read_holds_up_no_change(guarded: World, fake: FakeKube):
    fake.refuse("get", "Secret", ForbiddenError("get", "r", 'User "u" cannot get resource'))
    redis = {"url": guarded.settings.url, "credentials": {"secretName": "r"}}
    guarded.apply(suspend=True, queue={"redis": redis})
    guarded.reconcile()
    annotations = guarded.child(SCALED_OBJECT)["metadata"]["annotations"]
    assert annotations["autoscaling.keda.sh/paused-replicas"] == "0"
    assert "may not read the Secret r" in guarded.condition("Ready")[2]


def test_all_that_lacks_is_named_at_once(world: World):
    redis = {
        "url": "rediss://redis:6379/0",
        "credentials": {"secretName": "one"},
        "tls": {"caSecretName": "two"},
    }
    world.apply(queue={"redis": redis})
    world.reconcile()
    message = world.condition("Ready")[2]
    assert "the Secret one does not exist" in message
    assert "the Secret two does not exist" in message


def test_a_secret_without_its_key_is_named(world: World):
    world.make_secret("r", username="someone")
    world.apply(queue={"redis": {"url": world.settings.url, "credentials": {"secretName": "r"}}})
    world.reconcile()
    assert "the key password" in world.condition("Ready")[2]


def _let_in(world: World, password: str) -> None:
    with RedisSettings(world.settings.url, password="one").connect() as client:
        client.acl_setuser("default", enabled=True, passwords=[f"+{password}"])


def test_new_credentials_roll_the_workers(guarded: World):
    before = guarded.child()["spec"]["template"]["metadata"]["annotations"]
    guarded.reconcile()
    assert guarded.child()["spec"]["template"]["metadata"]["annotations"] == before
    _let_in(guarded, "two")
    guarded.make_secret("r", password="two")
    guarded.reconcile()
    after = guarded.child()["spec"]["template"]["metadata"]["annotations"]
    assert after != before
    assert "two" not in str(guarded.child())


def test_a_write_to_a_secret_that_changes_nothing_of_use_rolls_nothing(guarded: World):
    guarded.reconcile()
    before = guarded.child()["spec"]["template"]
    guarded.make_secret("r", labels={"team": "a"}, password="one")
    guarded.reconcile()
    guarded.make_secret("r", labels={"team": "a"}, password="one", another="key")
    guarded.reconcile()
    assert guarded.child()["spec"]["template"] == before
    # Nor does an operator that begins anew, which remembers nothing.
    guarded.restart()
    guarded.reconcile()
    assert guarded.child()["spec"]["template"] == before
    guarded.writes()
    guarded.reconcile()
    assert guarded.writes() == []
    _let_in(guarded, "two")
    guarded.make_secret("r", password="two")
    guarded.reconcile()
    assert guarded.child()["spec"]["template"] != before


def test_a_write_to_a_secret_while_no_operator_ran_rolls_nothing(guarded: World):
    guarded.reconcile()
    before = guarded.child()["spec"]["template"]
    guarded.make_secret("r", labels={"team": "a"}, password="one", another="key")
    guarded.restart()
    guarded.writes()
    guarded.reconcile()
    assert guarded.child()["spec"]["template"] == before
    assert guarded.writes() == []


def test_what_0_1_0_wrote_is_known_again(guarded: World, fake: FakeKube):
    """An upgrade rolls nobody, and from then on a digest of the contents is there too."""
    metadata = fake.get(SECRET, NAMESPACE, "r")["metadata"]
    text = f"{metadata['uid']}/{metadata['resourceVersion']}"
    revision = hashlib.sha256(text.encode()).hexdigest()[:16]

    def as_it_was(live):
        live["spec"]["template"]["metadata"]["annotations"][CREDENTIALS_ANNOTATION] = revision

    fake.edit(DEPLOYMENT, NAMESPACE, CHILD, as_it_was)
    before = guarded.child()["spec"]["template"]
    guarded.restart()
    guarded.reconcile()
    assert guarded.child()["spec"]["template"] == before
    guarded.make_secret("r", labels={"team": "a"}, password="one")
    guarded.restart()
    guarded.reconcile()
    assert guarded.child()["spec"]["template"] == before


def test_a_digest_cannot_be_guessed_by_who_may_not_read_the_secret(guarded: World, fake: FakeKube):
    """Its key is of the Secret itself: the same in another one gives another digest."""
    need = SecretNeed("r", "spec.queue.redis.credentials", ("password",))
    digests = set()
    for _ in range(2):
        digests.add(SecretReader(fake).read(NAMESPACE, [need]).digest)
        fake.remove(SECRET, NAMESPACE, "r")
        guarded.make_secret("r", password="one")
    assert len(digests) == 2


def test_a_secret_that_is_made_anew_with_the_same_rolls_nothing(guarded: World, fake: FakeKube):
    guarded.reconcile()
    before = guarded.child()["spec"]["template"]
    fake.remove(SECRET, NAMESPACE, "r")
    guarded.make_secret("r", password="one")
    guarded.reconcile()
    assert guarded.child()["spec"]["template"] == before
    guarded.restart()
    guarded.reconcile()
    assert guarded.child()["spec"]["template"] == before


def test_credentials_that_changed_while_no_operator_ran_roll_the_workers(guarded: World):
    guarded.reconcile()
    before = guarded.child()["spec"]["template"]
    _let_in(guarded, "two")
    guarded.make_secret("r", password="two")
    guarded.restart()
    guarded.reconcile()
    assert guarded.child()["spec"]["template"] != before


def test_what_lets_keda_in_comes_back_deleted_or_edited(guarded: World, fake: FakeKube):
    authentication = KINDS["TriggerAuthentication"]
    wanted = guarded.child(authentication)["spec"]
    fake.remove(authentication, NAMESPACE, CHILD)
    guarded.reconcile()
    assert guarded.child(authentication)["spec"] == wanted
    fake.edit(
        authentication, NAMESPACE, CHILD, lambda live: live["spec"].update(secretTargetRef=[])
    )
    guarded.reconcile()
    assert guarded.child(authentication)["spec"] == wanted


def test_credentials_that_redis_refuses_roll_nothing(guarded: World):
    before = guarded.child()["spec"]["template"]
    guarded.make_secret("r", password="mistyped")
    guarded.reconcile()
    assert guarded.ready() == ("False", "QueueRefused")
    assert guarded.child()["spec"]["template"] == before
    _let_in(guarded, "mistyped")
    guarded.reconcile()
    assert guarded.condition("QueueReachable")[0] == "True"
    assert guarded.child()["spec"]["template"] != before

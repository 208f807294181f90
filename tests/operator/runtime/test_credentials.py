"""The Secret of a queue: missing, changed, refused."""

from operating.reconciling import KINDS, World
from operating.services import CHILD
from operating.world import NAMESPACE
from whisperfleet.queue import RedisSettings
from whisperfleet_operator.kube.fake import FakeKube


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

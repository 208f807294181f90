"""The fake keeps the contract of the interface, and tells what a test needs to know."""

import pytest

from support.operator.fake_kube import FakeKube
from support.operator.kube_contract import KubeContract, account
from whisperfleet_operator.kube import ForbiddenError
from whisperfleet_operator.kube.kinds import CHILD_KINDS

ACCOUNT = next(kind for kind in CHILD_KINDS if kind.name == "ServiceAccount")


@pytest.fixture
def kube() -> FakeKube:
    return FakeKube()


@pytest.fixture
def namespace() -> str:
    return "team-a"


class TestFakeKube(KubeContract):
    def test_owners_take_their_children_with_them(self, kube: FakeKube, namespace: str):
        owner = kube.create(account(namespace, "owner"), "me")
        reference = {"uid": owner["metadata"]["uid"]}
        kube.create(account(namespace, "child", ownerReferences=[reference]), "me")
        kube.remove(ACCOUNT, namespace, "owner")
        assert kube.list(ACCOUNT, namespace, "") == []

    def test_it_counts_writes_but_not_those_of_others(self, kube: FakeKube, namespace: str):
        kube.create(account(namespace), "me")
        kube.edit(ACCOUNT, namespace, "thing", lambda live: live.update(secrets=[]))
        kube.get(ACCOUNT, namespace, "thing")
        assert kube.writes == [("create", "ServiceAccount", "thing")]

    def test_it_refuses_what_it_is_told_to(self, kube: FakeKube, namespace: str):
        kube.refuse("create", "ServiceAccount", ForbiddenError("create", "thing", "quota"))
        with pytest.raises(ForbiddenError, match="quota"):
            kube.create(account(namespace), "me")
        assert kube.writes == []

    def test_it_tells_its_watcher_of_each_change(self, kube: FakeKube, namespace: str):
        seen = []
        kube.watcher = lambda change, obj: seen.append((change, obj["metadata"]["name"]))
        kube.apply(account(namespace), "me")
        kube.apply(account(namespace), "me")
        kube.apply(account(namespace, labels={"a": "b"}), "me")
        kube.remove(ACCOUNT, namespace, "thing")
        assert seen == [("ADDED", "thing"), ("MODIFIED", "thing"), ("DELETED", "thing")]

"""What every `Kube` does. The fake and the real one inherit these tests."""

from typing import Any

import pytest

from support.cluster.kube import until
from support.operator.services import manifest
from whisperfleet_operator.kube import (
    AlreadyExistsError,
    InvalidError,
    Kube,
    NotFoundError,
    Object,
)
from whisperfleet_operator.kube.kinds import DEPLOYMENT, SERVICE, Kind

ACCOUNT = Kind("v1", "ServiceAccount", "serviceaccounts")


def account(namespace: str, name: str = "thing", **metadata: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": namespace, **metadata},
    }


def deployment(namespace: str, **container: Any) -> Object:
    labels = {"app": "thing"}
    containers = [{"name": "main", "image": "example/one:1", **container}]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "thing", "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
        },
    }


class KubeContract:
    """Needs the fixtures `kube`, a `Kube`, and `namespace`, an empty namespace of it."""

    def test_what_was_created_can_be_read(self, kube: Kube, namespace: str) -> None:
        made = kube.create(account(namespace, labels={"a": "b"}), "me")
        assert made["metadata"]["uid"]
        assert made["apiVersion"] == "v1"
        assert made["kind"] == "ServiceAccount"
        read = kube.get(ACCOUNT, namespace, "thing")
        assert read["metadata"]["uid"] == made["metadata"]["uid"]
        assert int(read["metadata"]["resourceVersion"]) > 0

    def test_a_name_is_taken_once(self, kube: Kube, namespace: str) -> None:
        kube.create(account(namespace), "me")
        with pytest.raises(AlreadyExistsError, match="already exists"):
            kube.create(account(namespace), "me")

    def test_what_is_not_there_is_not_found(self, kube: Kube, namespace: str) -> None:
        with pytest.raises(NotFoundError, match="not found"):
            kube.get(ACCOUNT, namespace, "thing")
        with pytest.raises(NotFoundError):
            kube.patch_status(DEPLOYMENT, namespace, "thing", {"observedGeneration": 1})

    def test_a_list_is_by_label_and_says_what_its_items_are(
        self, kube: Kube, namespace: str
    ) -> None:
        kube.create(account(namespace, "one", labels={"a": "b", "c": "d"}), "me")
        kube.create(account(namespace, "two", labels={"a": "x"}), "me")
        (found,) = kube.list(ACCOUNT, namespace, "a=b,c=d")
        assert (found["kind"], found["apiVersion"]) == ("ServiceAccount", "v1")
        assert found["metadata"]["name"] == "one"
        assert kube.list(ACCOUNT, namespace, "a=nothing") == []

    def test_apply_makes_what_is_not_there(self, kube: Kube, namespace: str) -> None:
        kube.apply(account(namespace, labels={"a": "b"}), "me")
        assert kube.get(ACCOUNT, namespace, "thing")["metadata"]["labels"] == {"a": "b"}

    def test_apply_takes_back_its_own_and_leaves_what_others_own(
        self, kube: Kube, namespace: str
    ) -> None:
        kube.apply(account(namespace, labels={"mine": "1", "mine-too": "1"}), "me")
        kube.apply(account(namespace, labels={"theirs": "1"}), "they")
        kube.apply(account(namespace, labels={"mine": "2"}), "me")
        labels = kube.get(ACCOUNT, namespace, "thing")["metadata"]["labels"]
        assert labels == {"mine": "2", "theirs": "1"}

    def test_apply_wins_over_another_manager(self, kube: Kube, namespace: str) -> None:
        kube.apply(account(namespace, labels={"contested": "theirs"}), "they")
        kube.apply(account(namespace, labels={"contested": "mine"}), "me")
        labels = kube.get(ACCOUNT, namespace, "thing")["metadata"]["labels"]
        assert labels["contested"] == "mine"

    def test_apply_to_one_object_makes_no_other(self, kube: Kube, namespace: str) -> None:
        made = kube.create(account(namespace), "me")
        uid = made["metadata"]["uid"]
        kube.apply(account(namespace, uid=uid, labels={"a": "b"}), "me")
        kube.delete(ACCOUNT, namespace, "thing", uid)
        with pytest.raises(AlreadyExistsError, match="uid mismatch"):
            kube.apply(account(namespace, uid=uid), "me")
        with pytest.raises(NotFoundError):
            kube.get(ACCOUNT, namespace, "thing")
        kube.create(account(namespace), "somebody")
        with pytest.raises(InvalidError, match=r"metadata\.uid"):
            kube.apply(account(namespace, uid=uid, labels={"a": "b"}), "me")
        assert "labels" not in kube.get(ACCOUNT, namespace, "thing")["metadata"]

    def test_apply_merges_containers_by_name(self, kube: Kube, namespace: str) -> None:
        kube.apply(deployment(namespace, env=[{"name": "A", "value": "1"}]), "me")
        kube.apply(deployment(namespace, env=[{"name": "B", "value": "2"}]), "they")
        pod = kube.get(DEPLOYMENT, namespace, "thing")["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert {each["name"] for each in container["env"]} == {"A", "B"}

    def test_replicas_stay_as_they_were_created(self, kube: Kube, namespace: str) -> None:
        born = deployment(namespace)
        born["spec"]["replicas"] = 0
        kube.create(born, "creation")
        kube.apply(deployment(namespace, image="example/one:2"), "me")
        live = kube.get(DEPLOYMENT, namespace, "thing")
        assert live["spec"]["replicas"] == 0
        assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "example/one:2"

    def test_a_scale_is_of_what_was_seen(self, kube: Kube, namespace: str) -> None:
        born = deployment(namespace)
        born["spec"]["replicas"] = 0
        seen = kube.create(born, "creation")

        def scale() -> bool:
            # Where there are controllers they write to it too, just now.
            try:
                kube.scale(kube.get(DEPLOYMENT, namespace, "thing"), 1, "me")
            except AlreadyExistsError:
                return False
            return True

        until(scale, "it is scaled as it was seen")
        scaled = kube.get(DEPLOYMENT, namespace, "thing")
        assert scaled["spec"]["replicas"] == 1
        with pytest.raises(AlreadyExistsError, match="modified"):
            kube.scale(seen, 2, "me")
        # What an apply does not mention stays as it was scaled.
        kube.apply(deployment(namespace, image="example/one:2"), "me")
        live = kube.get(DEPLOYMENT, namespace, "thing")
        assert live["spec"]["replicas"] == 1
        kube.delete(DEPLOYMENT, namespace, "thing", seen["metadata"]["uid"])
        with pytest.raises(NotFoundError):
            kube.scale(live, 2, "me")

    def test_an_apply_that_changes_nothing_leaves_the_version(
        self, kube: Kube, namespace: str
    ) -> None:
        wanted = account(namespace, labels={"a": "b"})
        first = kube.apply(wanted, "me")
        again = kube.apply(wanted, "me")
        assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]

    def test_a_status_merges_and_a_null_takes_away(self, kube: Kube, namespace: str) -> None:
        made = kube.create(manifest("thing", namespace, "example/one:1", "redis://r"), "me")
        kube.patch_status(SERVICE, namespace, "thing", {"model": "one", "replicas": "1/1"})
        patched = kube.patch_status(SERVICE, namespace, "thing", {"model": None})
        assert patched["status"] == {"replicas": "1/1"}
        assert patched["spec"] == made["spec"]

    def test_delete_takes_only_the_object_that_was_meant(self, kube: Kube, namespace: str) -> None:
        made = kube.create(account(namespace), "me")
        with pytest.raises(AlreadyExistsError):
            kube.delete(ACCOUNT, namespace, "thing", "another-uid")
        kube.delete(ACCOUNT, namespace, "thing", made["metadata"]["uid"])
        with pytest.raises(NotFoundError):
            kube.get(ACCOUNT, namespace, "thing")
        kube.delete(ACCOUNT, namespace, "thing", made["metadata"]["uid"])

    def test_an_address_that_nothing_answers_is_not_found(self, kube: Kube, namespace: str) -> None:
        del namespace
        with pytest.raises(NotFoundError):
            kube.read("/apis/nobody.example/v1")


class RealKubeContract(KubeContract):
    """What only a server with schemas can refuse."""

    def test_nonsense_is_invalid(self, kube: Kube, namespace: str) -> None:
        nonsense = deployment(namespace)
        nonsense["spec"]["template"]["spec"]["containers"][0]["name"] = "No Name"
        with pytest.raises(InvalidError, match="containers"):
            kube.create(nonsense, "me")

    def test_a_field_that_no_schema_knows_is_invalid(self, kube: Kube, namespace: str) -> None:
        with pytest.raises(InvalidError, match="imagePolPullicy"):
            kube.apply(deployment(namespace, imagePolPullicy="Never"), "me")

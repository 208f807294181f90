"""What watches told, the newest version of it, by service."""

import copy

import pytest

from whisperfleet_operator.cache import ObjectCache
from whisperfleet_operator.kube.kinds import DEPLOYMENT, POD

LABEL = "whisperfleet.io/service"
KEY = ("team-a", "calls")


def a_pod(version: int, uid: str = "1", service: str = "calls") -> dict:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "p",
            "namespace": "team-a",
            "uid": uid,
            "resourceVersion": str(version),
            "labels": {LABEL: service},
            "managedFields": [{"manager": "kubelet"}],
        },
    }


@pytest.fixture
def cache() -> ObjectCache:
    return ObjectCache(LABEL)


def version(cache: ObjectCache) -> str | None:
    found = cache.get(POD, "team-a", "p")
    return found and found["metadata"]["resourceVersion"]


def test_the_newest_version_is_kept(cache: ObjectCache):
    cache.saw(a_pod(9))
    cache.saw(a_pod(10))
    # A watch that is behind what a write has returned.
    cache.saw(a_pod(9))
    assert version(cache) == "10"


def test_the_end_of_an_earlier_object_does_not_hide_its_successor(cache: ObjectCache):
    cache.saw(a_pod(5, "old"))
    cache.saw(a_pod(8, "new"))
    cache.saw_deleted(a_pod(7, "old"))
    assert version(cache) == "8"
    cache.saw_deleted(a_pod(9, "new"))
    assert version(cache) is None


def test_an_answer_from_before_its_end_does_not_bring_an_object_back(cache: ObjectCache):
    listed = a_pod(5)
    cache.saw(listed)
    cache.saw_deleted(a_pod(6))
    cache.forget_service(KEY, [POD])
    cache.saw(listed)
    assert version(cache) is None
    cache.saw(a_pod(7, "new"))
    assert version(cache) == "7"


def test_what_is_invalidated_is_read_anew(cache: ObjectCache):
    cache.saw(a_pod(5))
    cache.invalidate(a_pod(5))
    assert version(cache) is None
    cache.saw(a_pod(5))
    assert version(cache) == "5"


def test_objects_are_found_by_service_and_kind(cache: ObjectCache):
    cache.saw(a_pod(1))
    assert [each["metadata"]["name"] for each in cache.of_service(KEY, [POD])] == ["p"]
    assert cache.of_service(KEY, [DEPLOYMENT]) == []
    assert cache.of_service(("team-b", "calls"), [POD]) == []
    cache.forget_service(KEY, [DEPLOYMENT])
    assert version(cache) == "1"
    cache.forget_service(KEY, [POD])
    assert version(cache) is None


def test_an_object_that_changes_its_label_changes_its_service(cache: ObjectCache):
    cache.saw(a_pod(1))
    cache.saw(a_pod(2, service="another"))
    assert cache.of_service(KEY, [POD]) == []
    assert len(cache.of_service(("team-a", "another"), [POD])) == 1


def test_who_owns_which_field_is_left_out_and_the_original_is_not_touched(cache: ObjectCache):
    seen = a_pod(1)
    before = copy.deepcopy(seen)
    cache.saw(seen)
    found = cache.get(POD, "team-a", "p")
    assert found is not None
    assert "managedFields" not in found["metadata"]
    assert seen == before

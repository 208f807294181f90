"""Two releases over one namespace: one looks after it, and the other says so and steps back."""

import pytest

from support.operator.fake_kube import FakeKube
from support.operator.reconciling import ALL, World
from support.operator.world import NAMESPACE, service_object
from whisperfleet_operator.kube import ForbiddenError, KubeError, NotFoundError
from whisperfleet_operator.kube.kinds import LEASE, SERVICE
from whisperfleet_operator.namespace_lease import NamespaceLease
from whisperfleet_operator.resource.names import OPERATOR


class Releases:
    """Releases that each look at one service from time to time."""

    def __init__(self) -> None:
        self.kube = FakeKube()
        self.now = 0.0
        self.service = self.kube.create(service_object(), "kubectl")
        self.kube.writes.clear()

    def make(self, name: str) -> NamespaceLease:
        return NamespaceLease(self.kube, name, lambda: self.now)

    def go_on(self, seconds: float, *releases: NamespaceLease) -> list[str | None]:
        """Let time pass while they look every five seconds; return whom each leaves it to."""
        for _ in range(int(seconds / 5)):
            self.now += 5
            others = [release.standing(self.service).other for release in releases]
        return others


@pytest.fixture
def releases() -> Releases:
    return Releases()


def test_one_release_writes_once(releases: Releases):
    one = releases.make("a")
    assert releases.go_on(3600, one) == [None]
    assert releases.kube.writes == [("create", "Lease", OPERATOR)]
    # Nor does another process of the same release.
    assert releases.go_on(60, releases.make("a")) == [None]
    assert len(releases.kube.writes) == 1


@pytest.mark.parametrize("names", ["ab", "ba"])
def test_who_was_first_stays_and_the_other_steps_back(releases: Releases, names: str):
    first, second = map(releases.make, names)
    assert releases.go_on(10, first) == [None]
    assert releases.go_on(60, first, second) == [None, names[0]]
    standing = second.standing(releases.service)
    assert standing.answered
    assert standing.again_seconds > 60
    releases.kube.writes.clear()
    assert releases.go_on(3600, first, second) == [None, names[0]]
    # A question and its answer, every ten minutes.
    assert 2 <= len(releases.kube.writes) <= 14


def test_never_do_two_look_after_it(releases: Releases):
    both = [releases.make("a"), releases.make("b")]
    for _ in range(500):
        others = releases.go_on(5, *both)
        assert others.count(None) == 1


def test_a_release_that_is_gone_is_followed(releases: Releases):
    first, second = releases.make("a"), releases.make("b")
    releases.go_on(10, first)
    assert releases.go_on(30, second) == ["a"]
    assert not second.standing(releases.service).answered
    assert releases.go_on(60, second) == [None]
    # And who comes back finds that it is too late.
    assert releases.go_on(120, first, second) == ["b", None]


def test_a_release_that_goes_later_is_followed_too(releases: Releases):
    first, second = releases.make("a"), releases.make("b")
    releases.go_on(60, first, second)
    assert releases.go_on(1200, second) == [None]


def test_a_question_of_long_ago_is_no_reason(releases: Releases):
    first, second, third = map(releases.make, "abc")
    releases.go_on(10, first)
    releases.go_on(10, second)
    # The second is gone, and the first was away for a while.
    releases.now += 3600
    assert releases.go_on(30, third) == ["a"]
    assert releases.go_on(20, first, third) == [None, "a"]


@pytest.mark.parametrize("error", [ForbiddenError, NotFoundError])
def test_whoever_can_have_no_lease_works_as_before(releases: Releases, error: type[KubeError]):
    releases.kube.refuse("create", "Lease", error("create", OPERATOR, "no"))
    assert releases.go_on(60, releases.make("a")) == [None]


def test_the_lease_goes_with_its_service_and_comes_back(releases: Releases):
    one = releases.make("a")
    releases.go_on(10, one)
    releases.kube.remove(SERVICE, NAMESPACE, "calls")
    assert releases.kube.list(LEASE, NAMESPACE, "") == []
    releases.service = releases.kube.create(service_object(), "kubectl")
    assert releases.go_on(60, one) == [None]
    assert releases.kube.get(LEASE, NAMESPACE, OPERATOR)["spec"]["holderIdentity"] == "a"


def test_the_release_that_steps_back_says_so_once_and_writes_nothing(settled: World):
    other = World.__new__(World)
    other.__dict__.update(settled.__dict__)
    other.release = "other/operator"
    other.restart()
    for _ in range(12):
        for each in (settled, other):
            each.now = settled.now = settled.now + 5
            each.reconcile(0)
    assert settled.events().count("AnotherOperator") == 1
    settled.writes()
    for _ in range(100):
        for each in (settled, other):
            each.now = settled.now = settled.now + 5
            each.reconcile(0)
    # But for their questions.
    assert set(settled.writes()) == {"apply Lease"}
    assert settled.events().count("AnotherOperator") == 1
    assert settled.children() == ALL
    assert settled.ready() == ("True", "Idle")

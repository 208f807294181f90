"""Events: what is told again, and what is told seldom."""

from datetime import timedelta

import pytest

from support.operator.fake_kube import FakeKube
from support.operator.world import (
    NAMESPACE,
    NOW,
    deployment,
    pod,
    scaled_object,
    service,
    service_object,
)
from whisperfleet_operator.cache import ObjectCache
from whisperfleet_operator.kube.kinds import SERVICE, Kind
from whisperfleet_operator.memory import ServiceMemories
from whisperfleet_operator.observe import Keda, Observation, PoolView
from whisperfleet_operator.reporting import Reporter
from whisperfleet_operator.resource import TranscriptionServiceStatus
from whisperfleet_operator.resource.names import SERVICE_LABEL
from whisperfleet_operator.status import service_status

QUOTA = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: pods"}


class Told:
    """A service whose status goes to and fro, and the Events about it."""

    def __init__(self) -> None:
        self.kube = FakeKube()
        self.resource = self.kube.create(service_object(), "kubectl")
        self.now = NOW
        self.reporters = [
            Reporter(
                self.kube,
                ObjectCache(SERVICE_LABEL),
                ServiceMemories(),
                lambda: self.now,
                self._seconds,
            )
            for _ in range(2)
        ]

    def _seconds(self) -> float:
        return self.now.timestamp()

    def goes(self, before: TranscriptionServiceStatus, after: TranscriptionServiceStatus) -> None:
        """Let two operators, or one that is started anew, report the same."""
        for reporter in self.reporters:
            reporter.report(self.resource, before, after)
            self.now += timedelta(seconds=1)

    def reasons(self) -> list[str]:
        listed = self.kube.list(Kind("v1", "Event", "events"), NAMESPACE, "")
        return [event["reason"] for event in listed]


@pytest.fixture
def told() -> Told:
    return Told()


def status(*conditions, keda=Keda.READY) -> TranscriptionServiceStatus:
    view = PoolView(
        service().spec.pools[0],
        deployment(1, *conditions),
        scaled_object(Ready="True"),
        () if conditions else (pod(),),
    )
    seen = Observation((view,), keda, None, None, ())
    return service_status(service(), seen, TranscriptionServiceStatus(), NOW)


def test_what_comes_and_goes_with_the_pods_is_told_once_in_some_minutes(told: Told):
    well, refused = status(), status(QUOTA)
    for _ in range(3):
        told.goes(well, refused)
        told.goes(refused, well)
    assert told.reasons() == ["QuotaExceeded"]
    told.now += timedelta(minutes=5)
    told.goes(well, refused)
    assert told.reasons() == ["QuotaExceeded"] * 2


def test_what_is_mended_and_breaks_again_is_told_each_time(told: Told):
    well, broken = status(), status(keda=Keda.MISSING)
    told.reporters.pop()
    for _ in range(2):
        told.goes(well, broken)
        told.goes(broken, well)
    assert told.reasons().count("KedaMissing") == 2


def test_another_service_of_the_same_name_is_told_about(told: Told):
    told.goes(status(), status(QUOTA))
    told.kube.remove(SERVICE, NAMESPACE, "calls")
    told.resource = told.kube.create(service_object(), "kubectl")
    told.goes(status(), status(QUOTA))
    assert told.reasons() == ["QuotaExceeded"] * 2


def test_a_status_is_written_once_a_second_whatever_happens(told: Told):
    reporter, before = told.reporters[0], TranscriptionServiceStatus()
    told.kube.writes.clear()
    for number in range(100):
        after = status(keda=Keda.MISSING if number % 2 else Keda.READY)
        wait = reporter.report(told.resource, before, after)
        assert 0 <= wait <= 1
        assert bool(wait) is (number % 10 != 0)
        told.now += timedelta(milliseconds=100)
    written = [name for verb, _, name in told.kube.writes if verb == "patch_status"]
    assert len(written) == 10
    # What is not written is not told either, and is told with the next write.
    told.now += timedelta(seconds=1)
    assert reporter.report(told.resource, before, status(keda=Keda.MISSING)) == 0
    assert "KedaMissing" in told.reasons()

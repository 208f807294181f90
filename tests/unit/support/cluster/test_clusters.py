"""What happens where there is no cluster to be had, or none that answers; needs none itself."""

import os
import subprocess
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest
import redis
from kubernetes.client.exceptions import ApiException

from hack.testbed import Layout, Testbed, TestbedError
from support.cluster import clusters
from support.cluster.aftermath import aftermath
from support.cluster.clusters import KUBECONFIG_VARIABLE, Cluster, any_cluster
from support.cluster.kube import until
from support.cluster.sharing import Sharing


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A machine without a kubeconfig, without kind, and for somebody who is not root."""
    for variable in (KUBECONFIG_VARIABLE, "REQUIRE_CLUSTER"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    return monkeypatch


@pytest.mark.usefixtures("nowhere")
def test_without_a_cluster_tests_are_skipped_with_the_remedy(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with (
        pytest.raises(pytest.skip.Exception, match=f"no cluster: set {KUBECONFIG_VARIABLE}, "),
        any_cluster(request, tmp_path),
    ):
        pass


def test_where_a_cluster_is_required_tests_fail_without_one(
    nowhere: pytest.MonkeyPatch, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    nowhere.setenv("REQUIRE_CLUSTER", "1")
    with (
        pytest.raises(pytest.fail.Exception, match="REQUIRE_CLUSTER=1, but no cluster"),
        any_cluster(request, tmp_path),
    ):
        pass


class RefusedTestbed:
    """One that finds another Kubernetes on the machine."""

    exists = False
    layout = Layout(state=Path("/nowhere"))

    def up(self) -> NoReturn:
        raise TestbedError("another kubelet lives on this machine: stop it first")

    def down(self) -> NoReturn:
        pytest.fail("what never came up is taken down")


@pytest.mark.parametrize(
    ("required", "outcome", "said"),
    [
        ("0", pytest.skip.Exception, "^the testbed does not come up: another kubelet"),
        ("1", pytest.fail.Exception, "^REQUIRE_CLUSTER=1, but the testbed does not come up: ano"),
    ],
)
def test_a_testbed_that_does_not_come_up_is_one_that_there_is_not(
    nowhere: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    required: str,
    outcome: type[BaseException],
    said: str,
) -> None:
    nowhere.setattr(os, "geteuid", lambda: 0)
    nowhere.setattr(clusters, "Testbed", RefusedTestbed)
    nowhere.setenv("REQUIRE_CLUSTER", required)

    with pytest.raises(outcome, match=said), any_cluster(request, tmp_path):
        pass


def test_half_a_testbed_is_taken_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken_down: list[bool] = []

    class HalfTestbed(RefusedTestbed):
        layout = Layout(state=tmp_path)

        def up(self) -> NoReturn:
            self.exists = True
            super().up()

        def down(self) -> None:
            taken_down.append(True)

    monkeypatch.delenv("REQUIRE_CLUSTER", raising=False)
    monkeypatch.setattr(clusters, "Testbed", HalfTestbed)
    # Others may be using the cluster of this machine.
    monkeypatch.setattr(clusters, "Sharing", partial(Sharing, tmp_path))
    with pytest.raises(pytest.skip.Exception), clusters._testbed(tmp_path / "kinds.json"):
        pass
    assert taken_down == [True]


class SilentKube:
    """A cluster whose API server does not answer."""

    def show(self, *arguments: str) -> NoReturn:
        raise subprocess.TimeoutExpired(["kubectl", *arguments], 60)

    def list(self, *_: str) -> NoReturn:
        raise ApiException(status=500, reason="etcd is gone")


def test_the_aftermath_of_a_dead_cluster_is_told_and_raises_nothing(tmp_path: Path) -> None:
    """An error in there would end the whole run, and hide why the test failed."""
    testbed = Testbed(Layout(state=tmp_path))
    dead = Cluster("one that is dead", SilentKube(), lambda _: None, testbed)

    told = dict(aftermath(dead, "mine"))

    assert "timed out after 60 seconds" in told["objects"]
    assert "etcd is gone" in told["the logs of the pods"]
    assert all(isinstance(text, str) for text in told.values())
    assert {"events", "scaling", "services", "pods", "the log of KEDA"} <= told.keys()


TROUBLES = [
    ApiException(status=503, reason="the server is currently unable"),
    ApiException(status=429, reason="too many requests"),
    redis.ConnectionError("connection refused"),
    redis.TimeoutError("no answer"),
]


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: str(trouble).split()[0])
def test_waiting_outlasts_a_server_that_is_out_of_order(trouble: Exception) -> None:
    troubles = [trouble]

    def condition() -> str:
        if troubles:
            raise troubles.pop()
        return "there"

    assert until(condition, "it comes", 30) == "there"


def test_waiting_in_vain_names_the_last_trouble() -> None:
    def condition() -> NoReturn:
        raise redis.ConnectionError("connection refused")

    with pytest.raises(pytest.fail.Exception, match=r"it comes; .* ConnectionError: connection re"):
        until(condition, "it comes", 0)


def test_a_question_that_is_wrong_is_not_repeated() -> None:
    def condition() -> NoReturn:
        raise ApiException(status=403, reason="forbidden")

    with pytest.raises(ApiException):
        until(condition, "it comes", 30)

"""What the demo tells, waits for and applies, without a cluster."""

import io
import os
import signal
from contextlib import ExitStack

import pytest
from rich.console import Console

from hack.demo_cluster import DemoError
from hack.demo_cluster.kubectl import Manifest
from hack.demo_cluster.operator import bring_operator
from hack.demo_cluster.run import conditions_of
from hack.demo_cluster.signals import undisturbed
from hack.demo_cluster.steps import Steps
from hack.images import OPERATOR
from whisperfleet.cli.interrupts import interrupted_by_any_end


class FakeKubectl:
    """Knows some objects by kind, and remembers what it is told."""

    def __init__(self, *known: str) -> None:
        self.known = set(known)
        self.applied: list[Manifest] = []
        self.deleted: list[str] = []

    def exists(self, manifest: Manifest) -> bool:
        return manifest["kind"] in self.known

    def apply(self, manifests: list[Manifest]) -> None:
        self.applied += manifests

    def delete(self, manifest: Manifest) -> None:
        self.deleted.append(manifest["kind"])

    def run(self, *_arguments: str) -> str:
        return ""

    def show(self, *arguments: str) -> str:
        return f"what {arguments[2]} say\n"

    def of(self, kind: str) -> list[Manifest]:
        return [manifest for manifest in self.applied if manifest["kind"] == kind]


def bring(kubectl: FakeKubectl) -> None:
    with ExitStack() as left:
        bring_operator(kubectl, "mine", left)
        assert kubectl.deleted == []


def test_the_operator_is_for_one_namespace_and_from_this_tree() -> None:
    kubectl = FakeKubectl()
    bring(kubectl)
    (deployment,) = kubectl.of("Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == OPERATOR.reference
    assert "--namespaces=mine" in container["args"]
    assert kubectl.of("ClusterRoleBinding") == []
    assert [b["metadata"]["namespace"] for b in kubectl.of("RoleBinding")] == [
        "mine",
        "kube-system",
    ]


def test_only_what_was_not_there_is_deleted_the_newest_first() -> None:
    kubectl = FakeKubectl()
    bring(kubectl)
    assert kubectl.deleted == [manifest["kind"] for manifest in reversed(kubectl.applied)]

    kubectl = FakeKubectl("CustomResourceDefinition", "ClusterRole", "Namespace")
    bring(kubectl)
    assert not kubectl.known & set(kubectl.deleted)
    assert {"Deployment", "ServiceAccount"} <= set(kubectl.deleted)


def test_an_operator_that_is_there_stays_as_it_is() -> None:
    kubectl = FakeKubectl("Deployment")
    bring(kubectl)
    assert kubectl.of("Deployment") == []
    assert "Deployment" not in kubectl.deleted


class StuckKubectl(FakeKubectl):
    """Sees no operator become ready."""

    def run(self, *arguments: str) -> str:
        if "rollout" in arguments:
            raise DemoError("it timed out")
        return ""


def test_an_operator_that_is_not_ready_has_the_last_word() -> None:
    kubectl = StuckKubectl()
    with pytest.raises(DemoError, match=r"it timed out\n.*last words:\nwhat logs say"):
        bring(kubectl)
    assert "Deployment" in kubectl.deleted


def steps() -> Steps:
    return Steps(Console(file=io.StringIO()), check=lambda: None)


def test_what_does_not_come_about_is_said() -> None:
    with pytest.raises(DemoError, match=r"not within 0 s: a pod is ready"):
        steps().until(lambda: False, "a pod is ready", 0)
    answers = iter((False, True))
    steps().until(lambda: next(answers), "a pod is ready", 30)
    assert next(answers, None) is None


def test_a_step_is_told_with_its_seconds_unless_it_fails() -> None:
    told = io.StringIO()
    some = Steps(Console(file=told), check=lambda: None)
    with some.step("one"):
        pass
    with pytest.raises(DemoError), some.step("two"):
        raise DemoError("no")
    assert list(some.seconds) == ["one"]
    assert told.getvalue() == f"{some.seconds['one']:7.1f} s  one\n"


def test_conditions_are_told_one_a_line() -> None:
    conditions = [
        {"type": "Ready", "status": "False", "reason": "NoGPUAvailable", "message": "no node"},
        {"type": "Initialized", "status": "True"},
    ]
    told = conditions_of({"status": {"conditions": conditions}})
    assert told.splitlines() == ["Ready=False/NoGPUAvailable: no node", "Initialized=True"]
    assert conditions_of({}) == ""


def test_any_end_interrupts_and_none_disturbs() -> None:
    with interrupted_by_any_end() as check:
        with undisturbed():
            os.kill(os.getpid(), signal.SIGTERM)
        check()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            check()

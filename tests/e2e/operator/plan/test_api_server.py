"""The API server takes every child, and makes of a Deployment what was meant."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from support.cluster.fleet import own_namespace
from support.cluster.kube import Kube
from support.operator.samples import changed, full, minimal, planned, read
from whisperfleet_operator.drift import differs, stamped
from whisperfleet_operator.plan import Observed, make_plan
from whisperfleet_operator.resource.names import CREATION_MANAGER, FIELD_MANAGER

pytestmark = pytest.mark.cluster

Json = dict[str, Any]
Kubectl = Callable[..., str]

CPU = changed(minimal(), "spec.pools.0.gpu", None)
AWS = changed(minimal(), "spec.pools.0.gpu.preset", "eks-a10g")
# What the API server forgets, fills in or writes in another way.
ODD = changed(
    CPU,
    "spec.pools.0.template",
    {
        "env": [
            {"name": "NOTHING", "value": ""},
            {
                "name": "SHARE",
                "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1000m"}},
            },
            {
                "name": "KEY",
                "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": False}},
            },
        ],
        "volumes": [
            {"name": "claim", "persistentVolumeClaim": {"claimName": "c", "readOnly": False}},
            {"name": "scratch", "emptyDir": {"medium": "", "sizeLimit": "1024Mi"}},
            {"name": "map", "configMap": {"name": "m", "optional": False, "defaultMode": 0}},
            {
                "name": "own",
                "ephemeral": {
                    "volumeClaimTemplate": {
                        "spec": {
                            "accessModes": ["ReadWriteOnce"],
                            "storageClassName": "",
                            "resources": {"requests": {"storage": "1024Mi"}},
                        }
                    }
                },
            },
        ],
        "volumeMounts": [{"name": "claim", "mountPath": "/data", "readOnly": False, "subPath": ""}],
    },
)


@pytest.fixture
def namespace(kube: Kube) -> Iterator[str]:
    """One that enforces the restricted pod security standard."""
    with own_namespace(kube, f"test-{uuid4().hex[:8]}") as name:
        yield name


@pytest.fixture
def kubectl(kube: Kube, tmp_path: Path) -> Kubectl:
    """Call it with a command, a manifest and options."""

    def run(command: str, manifest: Json, *options: str) -> str:
        file = tmp_path / "manifest.json"
        file.write_text(json.dumps(manifest), encoding="utf-8")
        done = subprocess.run(
            [kube.kubectl, "--kubeconfig", kube.kubeconfig, command, "-f", file, *options],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.mark.parametrize(
    "resource", [minimal(), full(), CPU, AWS], ids=["minimal", "full", "cpu", "aws"]
)
def test_every_child_is_let_in(kubectl: Kubectl, namespace: str, resource: Json) -> None:
    plan = planned(read(resource, namespace), "v1")
    for manifest in (*plan.create, *plan.apply, *plan.autoscale):
        said = kubectl(
            "apply", manifest, "--server-side", "--dry-run=server", "--validate=strict", "-o=json"
        )
        taken = json.loads(said)
        assert taken["kind"] == manifest["kind"]


@pytest.mark.parametrize(
    "resource", [minimal(), full(), CPU, AWS, ODD], ids=["minimal", "full", "cpu", "aws", "odd"]
)
def test_what_was_applied_is_not_applied_again(
    kubectl: Kubectl, namespace: str, resource: Json
) -> None:
    # Without its owner the garbage collector would take the children away.
    owner = json.loads(kubectl("create", resource, "-n", namespace, "-o=json"))["metadata"]["uid"]
    plan = planned(read(resource, namespace, owner), "v1")
    (birth,) = plan.create
    kubectl("create", birth, f"--field-manager={CREATION_MANAGER}")
    for manifest in (*plan.apply, *plan.autoscale):
        wanted = stamped(manifest)
        options = ("--server-side", "--force-conflicts", f"--field-manager={FIELD_MANAGER}")
        live = json.loads(kubectl("apply", wanted, *options, "-o=json"))
        assert not differs(live, wanted), manifest["kind"]


def test_pods_pass_the_restricted_standard(kubectl: Kubectl, namespace: str) -> None:
    """As pods of their own: a Deployment with pods that are refused is let in all the same."""
    for resource in (minimal(), full(), CPU, AWS):
        plan = planned(read(resource, namespace), "v1")
        deployments = (each for each in plan.apply if each["kind"] == "Deployment")
        for template in (each["spec"]["template"] for each in (*plan.create, *deployments)):
            _assert_let_in(kubectl, namespace, template)


def _assert_let_in(kubectl: Kubectl, namespace: str, template: Json) -> None:
    # None of these is there, and they are looked for before the standard is.
    absent = {"priorityClassName", "runtimeClassName", "serviceAccountName"}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": template["metadata"] | {"name": "worker", "namespace": namespace},
        "spec": {k: v for k, v in template["spec"].items() if k not in absent},
    }
    assert "worker" in kubectl("create", pod, "--dry-run=server", "-o=name")


def test_no_pods_at_birth_and_none_after_any_apply(
    kube: Kube, kubectl: Kubectl, namespace: str
) -> None:
    # Without its owner the garbage collector would take the Deployment away.
    owner = json.loads(kubectl("create", CPU, "-n", namespace, "-o=json"))["metadata"]["uid"]
    first = make_plan(read(CPU, namespace, owner), Observed())
    (birth,) = first.create
    kubectl("create", birth, f"--field-manager={CREATION_MANAGER}")
    server_side = ("--server-side", f"--field-manager={FIELD_MANAGER}", "--force-conflicts")
    (wanted,) = (each for each in first.apply if each["kind"] == "Deployment")
    for _ in range(2):
        kubectl("apply", wanted, *server_side)
    assert kube.get("Deployment", "calls-main", namespace)["spec"]["replicas"] == 0
    # The autoscaler's own number stays too, and a setting that is dropped does go.
    kube.patch("Deployment", "calls-main", namespace, {"spec": {"replicas": 3}})
    more = changed(CPU, "spec.pools.0.template.env", [{"name": "MORE", "value": "x"}])
    for resource, expected in ((more, True), (CPU, False)):
        plan = make_plan(read(resource, namespace, owner), Observed(children=first.wanted))
        (wanted,) = (each for each in plan.apply if each["kind"] == "Deployment")
        kubectl("apply", wanted, *server_side)
        found = kube.get("Deployment", "calls-main", namespace)["spec"]
        (container,) = found["template"]["spec"]["containers"]
        assert ("MORE" in {variable["name"] for variable in container["env"]}) is expected
        assert found["replicas"] == 3

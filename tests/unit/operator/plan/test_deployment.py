"""The Deployment: born with no pods, rolled without a spare GPU, drained in time."""

from typing import Any

import pytest

from support.operator.samples import changed, full, minimal, planned, read
from whisperfleet_operator.plan import Observed, make_plan

RESTRICTED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}


def applied(resource: dict[str, Any], credentials: str | None = None) -> dict[str, Any]:
    plan = planned(read(resource), credentials)
    (deployment,) = (each for each in plan.apply if each["kind"] == "Deployment")
    return deployment


def pod(resource: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = applied(resource)["spec"]["template"]["spec"]
    return spec


def worker(resource: dict[str, Any]) -> dict[str, Any]:
    (container,) = pod(resource)["containers"]
    found: dict[str, Any] = container
    return found


@pytest.mark.parametrize("resource", [minimal(), full()], ids=["minimal", "full"])
def test_the_number_of_pods_is_said_once(resource: dict[str, Any]) -> None:
    (birth,) = make_plan(read(resource), Observed()).create
    assert birth["spec"]["replicas"] == 0
    assert "replicas" not in applied(resource)["spec"]


@pytest.mark.parametrize("resource", [minimal(), full()], ids=["minimal", "full"])
def test_the_creating_manager_owns_nothing_that_could_go_stale(resource: dict[str, Any]) -> None:
    (birth,) = make_plan(read(resource), Observed()).create
    whole = applied(resource)["spec"]
    assert birth["spec"].keys() == {"replicas", "selector", "template"}
    assert birth["spec"]["selector"] == whole["selector"]
    (container,) = birth["spec"]["template"]["spec"].pop("containers")
    assert container.keys() == {"name", "image", "securityContext"}
    assert container.items() <= worker(resource).items()
    assert birth["spec"]["template"]["spec"].items() <= pod(resource).items()
    labels = birth["spec"]["template"]["metadata"]["labels"]
    assert birth["spec"]["template"]["metadata"].keys() == {"labels"}
    assert labels.items() <= whole["template"]["metadata"]["labels"].items()
    assert whole["selector"]["matchLabels"].items() <= labels.items()


def test_a_rollout_needs_no_spare_gpu() -> None:
    rolling = applied(minimal())["spec"]["strategy"]["rollingUpdate"]
    assert rolling == {"maxSurge": 0, "maxUnavailable": 1}


@pytest.mark.parametrize("seconds", [5, 90, 3600])
def test_a_worker_has_longer_than_its_drain(seconds: int) -> None:
    resource = changed(minimal(), "spec.worker.drainSeconds", seconds)
    spec = applied(resource)["spec"]
    grace = spec["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace > seconds
    assert spec["progressDeadlineSeconds"] > grace


@pytest.mark.parametrize("resource", [minimal(), full()], ids=["minimal", "full"])
def test_pods_are_restricted_and_have_no_token(resource: dict[str, Any]) -> None:
    spec = pod(resource)
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "fsGroup": 65532,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert worker(resource)["securityContext"] == RESTRICTED
    accounts = [
        each
        for each in make_plan(read(resource), Observed()).apply
        if each["kind"] == "ServiceAccount"
    ]
    assert [each["automountServiceAccountToken"] for each in accounts] == [False]
    assert [each["metadata"]["name"] for each in accounts] == [spec["serviceAccountName"]]


def test_a_model_may_load_for_as_long_as_a_start_may_take() -> None:
    for seconds in (1, 61, 420):
        resource = changed(minimal(), "spec.scaling.startupSeconds", seconds)
        probe = worker(resource)["startupProbe"]
        assert probe["httpGet"] == {"path": "/readyz", "port": "http"}
        assert 0 <= probe["periodSeconds"] * probe["failureThreshold"] - seconds < 2
    (port,) = worker(minimal())["ports"]
    assert (port["name"], port["containerPort"]) == ("http", 9464)


@pytest.mark.parametrize("resource", [minimal(), full()], ids=["minimal", "full"])
def test_every_mount_has_its_volume(resource: dict[str, Any]) -> None:
    volumes = [volume["name"] for volume in pod(resource)["volumes"]]
    mounts = {mount["mountPath"]: mount["name"] for mount in worker(resource)["volumeMounts"]}
    assert set(mounts.values()) == set(volumes)
    assert len(volumes) == len(set(volumes))
    assert mounts["/tmp"] == "whisperfleet-scratch"


def test_a_changed_secret_rolls_the_workers() -> None:
    def template(credentials: str | None) -> Any:
        return applied(full(), credentials)["spec"]["template"]

    assert template("v1") == template("v1")
    assert template("v1") != template("v2")
    annotations = template("v2")["metadata"]["annotations"]
    assert annotations["whisperfleet.io/credentials"] == "v2"
    assert annotations["example.org/team"] == "a"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.scaling.pollingSeconds", 60),
        ("spec.scaling.cooldownSeconds", 900),
        ("spec.pools.0.replicas.max", 9),
        ("spec.suspend", True),
        ("spec.model.name", "large-v3"),
    ],
)
def test_what_no_pod_needs_to_know_rolls_no_pod(path: str, value: Any) -> None:
    changed_template = applied(changed(minimal(), path, value))["spec"]["template"]
    assert changed_template == applied(minimal())["spec"]["template"]


def test_what_was_asked_for_is_in_the_pod() -> None:
    spec = pod(full())
    assert spec["priorityClassName"] == "batch"
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert {"name": "more", "emptyDir": {"sizeLimit": "1Gi"}} in spec["volumes"]
    assert worker(full())["volumeMounts"][-1] == {
        "name": "more",
        "mountPath": "/more",
        "subPath": "here",
        "readOnly": True,
    }
    labels = applied(full())["spec"]["template"]["metadata"]["labels"]
    assert labels["example.org/cost"] == "b"


def test_a_gpu_is_a_limit_and_the_rest_is_as_asked() -> None:
    assert worker(full())["resources"] == {
        "requests": {"cpu": "2", "memory": "4Gi"},
        "limits": {"memory": "8Gi", "nvidia.com/gpu": "2"},
    }
    assert "resources" not in worker(changed(minimal(), "spec.pools.0.gpu", None))


def test_a_model_on_a_volume_is_read_only() -> None:
    assert {
        "name": "whisperfleet-model",
        "mountPath": "/model",
        "readOnly": True,
        "subPath": "large/turbo",
    } in worker(full())["volumeMounts"]
    assert {
        "name": "whisperfleet-model",
        "persistentVolumeClaim": {"claimName": "models", "readOnly": True},
    } in pod(full())["volumes"]

"""What a testbed that runs can do for tests, beside its Kubernetes: images, GPUs, an audit log."""

import subprocess
import tarfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.testbed import Testbed, TestbedError
from hack.testbed.audit import read_events
from hack.testbed.images import single_program_archive
from hack.testbed.layout import PAUSE_IMAGE
from support.cluster.kube import Json, Kube, condition, until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300, func_only=True)]

_POD: Json = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "idle"},
    "spec": {
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [
            {
                "name": "pause",
                "image": PAUSE_IMAGE,
                "imagePullPolicy": "Never",
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                },
                "resources": {"limits": {"nvidia.com/gpu": 1}},
            }
        ],
    },
}


@pytest.fixture
def gpus(testbed: Testbed) -> Iterator[Testbed]:
    """The testbed with two healthy GPUs, before the test and after it."""
    testbed.set_gpus(2)
    yield testbed
    testbed.set_gpus(2)


def test_an_image_that_is_there_is_not_read_again(testbed: Testbed, tmp_path: Path) -> None:
    name = f"whisperfleet.local/test:{uuid.uuid4().hex[:8]}"
    whole, hollow = tmp_path / "whole.tar", tmp_path / "hollow.tar"
    whole.write_bytes(single_program_archive(name, name.encode()))
    _leave_only_the_listing(whole, hollow)
    with pytest.raises(TestbedError, match="did not take"):
        testbed.load_image(hollow)

    testbed.load_image(whole)
    until(lambda: _is_taken(testbed, hollow), "it is found by what the archive says of it")

    loaded = _digest(testbed, name)
    testbed.name_image(PAUSE_IMAGE, name)
    assert _digest(testbed, name) == _digest(testbed, PAUSE_IMAGE) != loaded
    testbed.load_image(hollow)
    assert _digest(testbed, name) == loaded


def _is_taken(testbed: Testbed, archive: Path) -> bool:
    try:
        testbed.load_image(archive)
    except TestbedError:
        return False
    return True


def _digest(testbed: Testbed, name: str) -> str:
    """Return which image has a name."""
    command = (testbed.layout.bin / "ctr", "images", "list", f"name=={name}")
    listed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    # REF TYPE DIGEST …, below a line of titles.
    return listed.splitlines()[1].split()[2]


def _leave_only_the_listing(archive: Path, copy: Path) -> None:
    """Copy of an archive what it says of itself, and not the image."""
    with tarfile.open(archive) as source, tarfile.open(copy, "w") as target:
        member = source.getmember("manifest.json")
        target.addfile(member, source.extractfile(member))


@pytest.mark.alone
def test_devices_turn_unhealthy_and_survive_a_kubelet(
    gpus: Testbed, kube: Kube, namespace: str
) -> None:
    # A namespace is given its account a moment after it is made; without it no pod is taken.
    until(lambda: kube.exists("ServiceAccount", "default", namespace), "there is an account")
    kube.create(_POD, namespace)
    until(lambda: condition(_pod(kube, namespace), "Ready").get("status") == "True", "it runs", 60)

    gpus.set_gpus(4, {1, 3})
    gpus.restart("kubelet")
    gpus.set_gpus(4, {0, 1, 2, 3})
    until(lambda: _health_of_device(kube, namespace) == "Unhealthy", "the pod's status says so")
    gpus.set_gpus(4)
    until(lambda: _health_of_device(kube, namespace) == "Healthy", "the pod's status says so")
    assert _container(kube, namespace)["restartCount"] == 0
    gpus.set_gpus(0)


def test_the_audit_log_says_who_wrote_what(testbed: Testbed, kube: Kube, namespace: str) -> None:
    kube.run("-n", namespace, "create", "configmap", "note", "--from-literal=word=hello")

    [event] = [
        event
        for event in read_events(testbed.audit_log, about=namespace)
        if event["verb"] == "create" and event.get("objectRef", {}).get("name") == "note"
    ]
    assert event["user"]["username"] == "admin"
    assert event["requestObject"]["data"] == {"word": "hello"}
    assert event["responseStatus"]["code"] == 201


def _pod(kube: Kube, namespace: str) -> Json:
    return kube.get("Pod", "idle", namespace)


def _container(kube: Kube, namespace: str) -> Json:
    (status,) = _pod(kube, namespace)["status"]["containerStatuses"]
    return status


def _health_of_device(kube: Kube, namespace: str) -> str:
    """Return what the kubelet says of the pod's GPU; nothing before it has looked."""
    told = _container(kube, namespace).get("allocatedResourcesStatus", ())
    return "".join(device["health"] for resource in told for device in resource["resources"])

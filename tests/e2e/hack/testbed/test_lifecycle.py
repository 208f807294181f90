"""The testbed's promise: it comes up, again and again, and `down` leaves nothing behind.

These tests take the machine's one testbed up and down; one that is up already is left alone.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hack.testbed import Testbed, TestbedError
from hack.testbed.binaries import build
from hack.testbed.footprint import Footprint
from hack.testbed.layout import NODE_IP, PAUSE_IMAGE, REDIS_PORT
from hack.testbed.mounts import mounts
from hack.testbed.prerequisites import install_packages, require_root
from support.cluster.clusters import do_without
from support.servers import wait_for

ROOT = Path(__file__).parents[4]

# Each component has a minute and a half, and they start one after the other.
_UP_SECONDS = 600.0

# The first time Kubernetes and KEDA are built.
pytestmark = [pytest.mark.cluster, pytest.mark.alone, pytest.mark.timeout(3600)]

_PIPES = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
_POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "idle", "namespace": "default"},
    "spec": {
        "terminationGracePeriodSeconds": 1,
        "containers": [
            {
                "name": "pause",
                "image": PAUSE_IMAGE,
                "imagePullPolicy": "Never",
                "resources": {"limits": {"nvidia.com/gpu": 1}},
            }
        ],
    },
}


@pytest.fixture
def before() -> Footprint:
    """What the machine is like without a testbed; skips where there cannot be one, or is one."""
    testbed = Testbed()
    try:
        require_root()
        install_packages()
        # The first time it takes half an hour, for which no test below has to wait then.
        build(testbed.layout)
    except TestbedError as error:
        do_without(str(error))
    if testbed.exists:
        do_without("a testbed is up on this machine and may be in use: `make cluster-down` first")
    return Footprint.take(testbed.layout)


@pytest.fixture
def testbed(before: Footprint) -> Iterator[Testbed]:  # noqa: ARG001 - it comes first
    testbed = Testbed()
    yield testbed
    testbed.down()


def _kubectl(testbed: Testbed, *arguments: str, given: str = "") -> str:
    return subprocess.run(
        [testbed.kubectl, "--kubeconfig", testbed.kubeconfig, *arguments],
        input=given,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


def _redis(*command: str) -> str:
    return subprocess.run(
        ["redis-cli", "-h", NODE_IP, "-p", str(REDIS_PORT), *command],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.strip()


def _run_a_pod(testbed: Testbed) -> None:
    """Leave a pod running: a shim, containers, mounts, a network namespace with its interfaces."""
    # A namespace is given its account a moment after it is made; without it no pod is taken.
    _kubectl(testbed, "wait", "serviceaccount/default", "--for=create", "--timeout=60s")
    _kubectl(testbed, "apply", "-f", "-", given=json.dumps(_POD))
    _kubectl(testbed, "wait", "pod/idle", "--for=condition=Ready", "--timeout=60s")


def _assert_nothing_left(before: Footprint, testbed: Testbed) -> None:
    changes = before.changes(Footprint.take(testbed.layout))
    assert not changes, "\n".join(changes)


def test_up_twice_down_and_up_again_leaves_nothing(
    before: Footprint, testbed: Testbed, report_figure: Callable[[str], None]
) -> None:
    seconds: dict[str, float] = {}

    def timed(name: str, action: Callable[[], None]) -> None:
        began = time.monotonic()
        action()
        seconds[name] = time.monotonic() - began

    testbed.up()
    _run_a_pod(testbed)
    running = [(status.name, status.pid) for status in testbed.status() if status.ready]
    timed("up again", testbed.up)
    assert [(status.name, status.pid) for status in testbed.status()] == running
    assert _kubectl(testbed, "get", "pod", "idle", "-o", "jsonpath={.status.phase}") == "Running"

    timed("down", testbed.down)
    _assert_nothing_left(before, testbed)
    timed("down again", testbed.down)

    timed("up", testbed.up)
    assert "idle" not in _kubectl(testbed, "get", "pods", "-o", "name")
    testbed.down()
    _assert_nothing_left(before, testbed)
    figures = ", ".join(f"{name} {taken:.1f} s" for name, taken in seconds.items())
    report_figure(f"testbed: {figures}")


def test_what_died_is_started_again_and_a_crash_leaves_nothing(
    before: Footprint, testbed: Testbed
) -> None:
    testbed.up()
    _run_a_pod(testbed)
    pids = {status.name: status.pid for status in testbed.status()}
    assert _redis("SET", "word", "hello") == "OK"
    dead = ("containerd", "kube-controller-manager", "keda-metrics", "redis")
    for name in dead:
        testbed.kill(name)
    assert [status.name for status in testbed.status() if status.pid is None] == sorted(
        dead, key=list(pids).index
    )

    testbed.up()

    assert all(status.ready for status in testbed.status())
    changed = {status.name for status in testbed.status() if status.pid != pids[status.name]}
    assert changed == set(dead)
    restarts = _kubectl(
        testbed, "get", "pod", "idle", "-o", "jsonpath={.status.containerStatuses[0].restartCount}"
    )
    assert restarts == "0"
    assert _redis("GET", "word") == "hello"

    # Nobody is left who could tidy up: neither the runtime nor the kubelet nor their API.
    for name in ("kubelet", "containerd", "kube-apiserver", "etcd", "kube-proxy"):
        testbed.kill(name)
    testbed.down()
    _assert_nothing_left(before, testbed)


def test_down_after_half_an_up_leaves_nothing(before: Footprint, testbed: Testbed) -> None:
    began = subprocess.Popen(
        [sys.executable, "-m", "hack.testbed", "up"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    recorded = testbed.layout.processes / "kubelet"
    wait_for(
        lambda: recorded.exists() or began.poll() is not None, "the kubelet starts", _UP_SECONDS
    )
    assert began.poll() is None, "it ended by itself"
    os.killpg(began.pid, signal.SIGKILL)
    began.wait()

    testbed.down()

    _assert_nothing_left(before, testbed)


def test_the_footprint_sees_what_could_be_left(before: Footprint, tmp_path: Path) -> None:
    """A comparison that overlooks things would let every other test here pass."""
    layout = Testbed().layout
    cgroup_root = next(mount.point for mount in mounts() if mount.kind.startswith("cgroup"))
    steps = [
        (["ip", "link", "add", "wf-probe", "type", "bridge"], ["ip", "link", "del", "wf-probe"]),
        (["mkdir", "-p", "/run/netns"], ["rmdir", "--ignore-fail-on-non-empty", "/run/netns"]),
        (["touch", "/run/netns/wf-probe"], ["rm", "/run/netns/wf-probe"]),
        (["mount", "-t", "tmpfs", "tmpfs", str(tmp_path)], ["umount", str(tmp_path)]),
        (["nft", "add", "table", "ip", "wf-probe"], ["nft", "delete", "table", "ip", "wf-probe"]),
        (["mkdir", f"{cgroup_root}/wf-probe"], ["rmdir", f"{cgroup_root}/wf-probe"]),
        (["mkdir", str(layout.state)], ["rmdir", str(layout.state)]),
    ]
    try:
        for make, _ in steps:
            subprocess.run(make, check=True)
        with subprocess.Popen(["cat", f"{layout.state}/", "-"], **_PIPES) as reader:
            assert reader.stderr.readline(), "it says that a folder cannot be read, then waits"
            changes = before.changes(Footprint.take(layout))
            reader.kill()
    finally:
        for _, undo in reversed(steps):
            subprocess.run(undo, check=False)
    seen = {change.partition(":")[0] for change in changes if ": new: " in change}
    assert seen >= {
        *("processes", "mounts", "links", "network_namespaces", "nftables", "control_groups"),
        "paths",
    }
    assert before.changes(Footprint.take(layout)) == []

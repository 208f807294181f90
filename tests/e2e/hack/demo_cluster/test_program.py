"""`make demo-cluster`'s program, from the cluster to zero pods."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.demo_cluster import NAMESPACE
from hack.testbed import Testbed
from support.cluster.clusters import do_without
from support.cluster.kube import Kube, until

# The first of them may build the images.
pytestmark = [pytest.mark.cluster, pytest.mark.alone, pytest.mark.timeout(1500, func_only=True)]

ROOT = Path(__file__).parents[4]
PROGRAM = (sys.executable, "-m", "hack.demo_cluster")
_BEGIN_SECONDS = 900
_CLEAR_SECONDS = 240


@pytest.fixture
def before(kube: Kube, testbed: Testbed) -> Iterator[set[str]]:  # noqa: ARG001 - it runs there
    """What there is in the cluster before the program; no more may be there after it."""
    if kube.exists("Namespace", NAMESPACE):
        do_without(f"the namespace {NAMESPACE} is there already: somebody's demo runs or was kept")
    found = _objects(kube)
    yield found
    assert _objects(kube) - found == set()
    assert not kube.exists("Namespace", NAMESPACE)


def _objects(kube: Kube) -> set[str]:
    """Return what the program may make outside its own namespace, by name."""
    made = "namespaces,crds,clusterroles,clusterrolebindings"
    found = kube.run("get", made, "-o", "name").split()
    found += kube.run("-n", "kube-system", "get", "roles,rolebindings", "-o", "name").split()
    listed = kube.run("get", "deployments,serviceaccounts", "-A", "-o", "name").split()
    return {name for name in (*found, *listed) if "whisperfleet" in name}


def test_it_shows_words_and_leaves_nothing(before: set[str], kube: Kube) -> None:  # noqa: ARG001
    done = subprocess.run(PROGRAM, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    right, words = re.findall(r"(\d+) of (\d+) words are right", done.stdout)[0]
    assert right == words
    assert int(words) > 20
    assert "ready, and not a pod" in done.stderr
    assert "the queue is empty, and no pod is left" in done.stderr


def test_interrupted_it_leaves_nothing_either(before: set[str], kube: Kube) -> None:  # noqa: ARG001
    with subprocess.Popen(PROGRAM, cwd=ROOT, stderr=subprocess.PIPE, text=True) as program:
        try:
            # From the moment of its namespace on there is something to clear away.
            until(
                lambda: kube.exists("Namespace", NAMESPACE) or program.poll() is not None,
                "the demo has begun",
                _BEGIN_SECONDS,
            )
            os.kill(program.pid, signal.SIGINT)
            _, said = program.communicate(timeout=_CLEAR_SECONDS)
        finally:
            program.kill()
    assert program.returncode == 130, said
    assert "interrupted" in said

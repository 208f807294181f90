"""Where the cluster comes from: one that was given, one in Docker, or the project's testbed."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

import pytest

from hack.testbed import Testbed, TestbedError
from hack.testbed.binaries import KEDA
from support.cluster.kube import Kube
from support.cluster.sharing import Sharing

KUBECONFIG_VARIABLE: Final = "WHISPERFLEET_KUBECONFIG"

_KEDA_RELEASES: Final = "https://github.com/kedacore/keda/releases/download"
_KEDA_RELEASE: Final = f"v{KEDA.version}/keda-{KEDA.version}.yaml"


@dataclass(frozen=True)
class Cluster:
    """A cluster with KEDA.

    `load_image` brings an archive of an image to its nodes. `testbed` is the testbed that it is,
    where a test may also restart parts, kill processes and read the audit log; None elsewhere.
    """

    origin: str
    kube: Kube
    load_image: Callable[[Path], None]
    testbed: Testbed | None = None

    @contextmanager
    def reach(self, namespace: str, service: str, port: int) -> Iterator[str]:
        """The address at which this machine reaches a Service, as redis://HOST:PORT."""
        if self.testbed:
            # Its node is this machine.
            found = self.kube.get("Service", service, namespace)
            yield f"redis://{found['spec']['clusterIP']}:{port}/0"
        else:
            with _forwarded(self.kube, namespace, service, port) as local:
                yield f"redis://127.0.0.1:{local}/0"


@contextmanager
def any_cluster(request: pytest.FixtureRequest, folder: Path) -> Iterator[Cluster]:
    """The first cluster that there is; without one the tests are skipped, or fail if they must not.

    `folder` is for what is known of the cluster while the tests run.
    """
    cache = folder / "kinds.json"
    with ExitStack() as left:
        if kubeconfig := os.environ.get(KUBECONFIG_VARIABLE):
            cluster = _given(Path(kubeconfig), cache)
        elif kind := _kind_binary(request.config):
            cluster = left.enter_context(_kind(request, kind, cache))
        elif sys.platform == "linux" and os.geteuid() == 0:
            cluster = left.enter_context(_testbed(cache))
        else:
            do_without(
                f"no cluster: set {KUBECONFIG_VARIABLE}, install Docker and kind, or run as root "
                "on Linux for the testbed"
            )
        left.callback(cluster.kube.close)
        if not cluster.kube.exists("CustomResourceDefinition", "scaledobjects.keda.sh"):
            do_without(f"the cluster, {cluster.origin}, has no KEDA: install it there")
        yield cluster


def do_without(reason: str) -> NoReturn:
    if os.environ.get("REQUIRE_CLUSTER") == "1":
        pytest.fail(f"REQUIRE_CLUSTER=1, but {reason}")
    pytest.skip(reason)


def _given(kubeconfig: Path, cache: Path) -> Cluster:
    kubectl = shutil.which("kubectl")
    if not kubectl:
        do_without(f"{KUBECONFIG_VARIABLE} is set and kubectl is not on the PATH: install it")
    return Cluster(
        origin=f"the one of {kubeconfig}",
        kube=Kube.connect(kubeconfig, Path(kubectl), cache),
        load_image=_is_loaded_elsewhere,
    )


def _is_loaded_elsewhere(archive: Path) -> None:
    """Load nothing: how images get to the nodes of a given cluster is for whoever gave it."""
    print(f"{archive} is not loaded: the nodes of a given cluster must have it already")


def _kind_binary(config: pytest.Config) -> str | None:
    """Return the kind to use, where there is one and Docker answers."""
    # Without one pytest-kind would fetch a kind that is too old for KEDA.
    kind: str | None = config.getoption("kind_bin", None) or shutil.which("kind")
    if kind and (config.getoption("kind_bin", None) or _docker_answers()):
        return kind
    return None


def _docker_answers() -> bool:
    docker = shutil.which("docker")
    if not docker:
        return False
    return subprocess.run([docker, "info"], capture_output=True, check=False).returncode == 0


@contextmanager
def _kind(request: pytest.FixtureRequest, kind: str, cache: Path) -> Iterator[Cluster]:
    """The cluster of pytest-kind, with KEDA; it is deleted unless --keep-cluster says otherwise."""
    option = request.config.option
    option.kind_bin = kind
    option.kind_kubectl_bin = option.kind_kubectl_bin or shutil.which("kubectl")
    keep = option.keep_cluster
    with Sharing() as sharing:
        # The plugin would have the first process that ends delete it.
        option.keep_cluster = True
        try:
            with sharing.making():
                made = request.getfixturevalue("kind_cluster")
                made.ensure_kubectl()
                kube = Kube.connect(Path(made.kubeconfig_path), Path(made.kubectl_path), cache)
                _install_keda(kube)
        finally:
            option.keep_cluster = keep

        def load_image(archive: Path) -> None:
            command = [kind, "load", "image-archive", str(archive), "--name", made.name]
            subprocess.run(command, check=True)

        try:
            yield Cluster(f"kind's, named {made.name}", kube, load_image)
        finally:
            if sharing.is_last() and not keep:
                made.delete()


def _install_keda(kube: Kube) -> None:
    if not kube.exists("CustomResourceDefinition", "scaledobjects.keda.sh"):
        kube.run("apply", "--server-side", "-f", f"{_KEDA_RELEASES}/{_KEDA_RELEASE}")
        kube.run("-n", "keda", "rollout", "status", "deployment", "--timeout=50s")


@contextmanager
def _testbed(cache: Path) -> Iterator[Cluster]:
    """The testbed; the last who uses it leaves it as the first found it, there or not."""
    testbed = Testbed()
    with Sharing() as sharing:
        try:
            _bring_up(testbed)
            kube = Kube.connect(testbed.kubeconfig, testbed.kubectl, cache)
            yield Cluster("the testbed", kube, testbed.load_image, testbed)
        finally:
            if sharing.is_last() and _made_here(testbed).exists():
                testbed.down()


def _bring_up(testbed: Testbed) -> None:
    was_there = testbed.exists
    try:
        testbed.up()
    except TestbedError as error:
        do_without(f"the testbed does not come up: {error}")
    finally:
        if testbed.exists and not was_there:
            _made_here(testbed).touch()


def _made_here(testbed: Testbed) -> Path:
    """The mark of a testbed that tests brought up; it goes with the testbed."""
    return testbed.layout.state / "made-by-tests"


@contextmanager
def _forwarded(kube: Kube, namespace: str, service: str, port: int) -> Iterator[int]:
    """A port of this machine that leads to a Service's pod."""
    forward = subprocess.Popen(
        [
            *(str(kube.kubectl), "--kubeconfig", str(kube.kubeconfig), "-n", namespace),
            *("port-forward", f"service/{service}", f":{port}"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert forward.stdout
        # Forwarding from 127.0.0.1:40123 -> 6379
        said = forward.stdout.readline()
        found = re.search(r"127\.0\.0\.1:(\d+) ", said)
        assert found, f"kubectl port-forward said {said!r}"
        yield int(found[1])
    finally:
        forward.terminate()
        forward.communicate()

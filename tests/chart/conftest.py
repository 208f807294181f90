"""The cluster of `tests/cluster`, the helm that belongs to it, and what releases need there."""

import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from chart.helm import Helm
from cluster.clusters import LOADED, Cluster, do_without
from cluster.conftest import cluster, pytest_runtest_makereport, worker_image
from cluster.fleet import own_namespace
from cluster.kube import Kube, until
from hack import images
from hack.images.recipes import ROOT
from hack.manifests import ManifestError, find_helm
from operating.services import RESOURCE
from whisperfleet_operator.resource.crd import FILE_NAME

__all__ = ["cluster", "pytest_runtest_makereport", "worker_image"]

CRD = ROOT / "crds" / FILE_NAME

MakeNamespace = Callable[[], str]


@pytest.fixture(scope="session")
def helm(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """The testbed's helm, elsewhere the one on the PATH."""
    command = cluster.testbed.helm if cluster.testbed else shutil.which("helm")
    if command is None:
        do_without(f"the cluster, {cluster.origin}, is there, but helm is not on the PATH")
    return Helm(str(command), tmp_path_factory.mktemp("helm"), cluster.kube.kubeconfig)


@pytest.fixture(scope="session")
def renderer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Some helm, for what asks no cluster: one that is there, else the cluster's."""
    try:
        return Helm(find_helm(), tmp_path_factory.mktemp("helm"))
    except ManifestError:
        return request.getfixturevalue("helm")


@pytest.fixture(scope="session")
def kube(cluster: Cluster) -> Kube:
    """The API server with our CRD, which stays: other tests may be using it."""
    cluster.kube.run("apply", "--server-side", "--force-conflicts", "-f", str(CRD))
    cluster.kube.run("wait", "--for=condition=Established", "-f", str(CRD))
    return cluster.kube


@pytest.fixture(scope="session")
def operator_image(request: pytest.FixtureRequest, cluster: Cluster) -> str:
    """The repository of the operator's image, which is on the nodes."""
    loaded = request.config.stash.setdefault(LOADED, set())
    archive = images.build("operator")
    if archive not in loaded:
        cluster.load_image(archive)
        loaded.add(archive)
    return images.OPERATOR.reference.rpartition(":")[0]


@pytest.fixture
def make_namespace(kube: Kube) -> Iterator[MakeNamespace]:
    """Call it for a namespace of the test's own, in which services may be left behind."""
    with ExitStack() as left:
        yield lambda: left.enter_context(_namespace(kube))


@pytest.fixture
def namespace(make_namespace: MakeNamespace) -> str:
    return make_namespace()


@contextmanager
def _namespace(kube: Kube) -> Iterator[str]:
    with own_namespace(kube, f"test-{uuid.uuid4().hex[:8]}") as name:
        try:
            yield name
        finally:
            kube.run("-n", name, "delete", RESOURCE, "--all")
            # KEDA has to take its finalizer away while it still may.
            until(lambda: not kube.list("ScaledObject", name), "the ScaledObjects are gone", 60)

"""The helm that belongs to the cluster, and what releases need there."""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from hack import images
from hack.manifests import ManifestError, find_helm
from support.alerts.promtool import promtool
from support.chart.helm import Helm
from support.chart.releases import MakeNamespace
from support.cluster.clusters import Cluster, do_without
from support.cluster.fleet import own_namespace
from support.cluster.kube import Kube, until
from support.operator.definition import define_resource
from support.operator.services import RESOURCE

__all__ = ["promtool"]


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
def kube(kube: Kube) -> Kube:
    """The API server with our CRD."""
    define_resource(kube)
    return kube


@pytest.fixture(scope="session")
def operator_image(cluster: Cluster) -> str:
    """The repository of the operator's image, which is on the nodes."""
    cluster.load_image(images.build("operator"))
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

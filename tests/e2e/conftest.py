"""A cluster for the session, a namespace for a test, and what is to be seen there when it fails."""

import uuid
from collections.abc import Iterator

import pytest

from hack import images
from hack.testbed import Testbed
from support.cluster.aftermath import aftermath
from support.cluster.clusters import Cluster, any_cluster, do_without
from support.cluster.fleet import own_namespace
from support.cluster.kube import Kube


@pytest.fixture(scope="session")
def cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    """A cluster with KEDA; the test is skipped where there can be none."""
    with any_cluster(request, tmp_path_factory.mktemp("cluster")) as found:
        yield found


@pytest.fixture(scope="session")
def kube(cluster: Cluster) -> Kube:
    return cluster.kube


@pytest.fixture
def testbed(cluster: Cluster) -> Testbed:
    """The testbed, for what only someone on the node can do."""
    if cluster.testbed is None:
        do_without(f"the cluster is {cluster.origin}, and only the testbed's parts may be hurt")
    return cluster.testbed


@pytest.fixture(scope="session")
def worker_image(cluster: Cluster) -> str:
    """The worker's image, on the nodes, beside that of Redis."""
    cluster.load_image(images.build("worker"))
    cluster.load_image(images.build("redis"))
    return images.WORKER.reference


@pytest.fixture
def namespace(kube: Kube) -> Iterator[str]:
    with own_namespace(kube, f"test-{uuid.uuid4().hex[:8]}") as name:
        yield name


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring forward what may take longest, so that no long test is left for the end of a run."""
    items.sort(key=_most_seconds, reverse=True)


def _most_seconds(item: pytest.Item) -> float:
    """Return how long a test of the cluster may take; others keep their order."""
    limit = item.get_closest_marker("timeout")
    return limit.args[0] if limit and item.get_closest_marker("cluster") else 0.0


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Put what is to be seen in the namespace beside the failure of its test."""
    report = yield
    used = getattr(item, "funcargs", {})
    if report.failed and call.when != "teardown" and "namespace" in used:
        report.sections += aftermath(used["cluster"], used["namespace"])
    return report

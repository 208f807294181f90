"""A cluster for the session, a namespace for a test, and what is to be seen there when it fails."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from cluster.aftermath import aftermath
from cluster.clusters import LOADED, Cluster, any_cluster, do_without
from cluster.fleet import Fleet, Shape, own_namespace, run_redis
from cluster.kube import Kube
from hack import images
from hack.testbed import Testbed
from whisperfleet.client import Client
from whisperfleet.queue import RedisSettings

MakeFleet = Callable[[Shape], Fleet]


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
def worker_image(request: pytest.FixtureRequest, cluster: Cluster) -> str:
    """The worker's image, on the nodes, beside that of Redis."""
    # Folders that import this fixture each have one of their own.
    loaded = request.config.stash.setdefault(LOADED, set())
    for archive in (images.build("worker"), images.build("redis")):
        if archive not in loaded:
            cluster.load_image(archive)
            loaded.add(archive)
    return images.WORKER.reference


@pytest.fixture
def namespace(kube: Kube) -> Iterator[str]:
    with own_namespace(kube, f"test-{uuid.uuid4().hex[:8]}") as name:
        yield name


@pytest.fixture
def make_fleet(cluster: Cluster, namespace: str, worker_image: str) -> Iterator[MakeFleet]:
    """Call it with the shape of the fleet; there can be one."""
    with ExitStack() as left:

        def make(shape: Shape) -> Fleet:
            run_redis(cluster.kube, namespace)
            settings = RedisSettings(left.enter_context(cluster.reach(namespace, "redis", 6379)))
            client = left.enter_context(Client(settings, f"{namespace}.worker"))
            raw = left.enter_context(settings.connect())
            fleet = Fleet(cluster.kube, namespace, shape, worker_image, client, raw)
            fleet.deploy()
            return fleet

        yield make


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Put what is to be seen in the namespace beside the failure of its test."""
    report = yield
    used = getattr(item, "funcargs", {})
    if report.failed and call.when != "teardown" and "namespace" in used:
        report.sections += aftermath(used["cluster"], used["namespace"])
    return report

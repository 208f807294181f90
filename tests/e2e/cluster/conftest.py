"""A fleet of the test's own, without an operator."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from support.cluster.clusters import Cluster
from support.cluster.fleet import Fleet, Shape, run_redis
from whisperfleet.client import Client
from whisperfleet.queue import RedisSettings

MakeFleet = Callable[[Shape], Fleet]


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

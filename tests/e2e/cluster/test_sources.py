"""A cluster that is given by its kubeconfig does what tests ask of any; here it is the testbed."""

import os

import pytest
import redis

from hack.testbed import Testbed
from support.cluster.clusters import KUBECONFIG_VARIABLE, any_cluster
from support.cluster.fleet import run_redis
from support.cluster.kube import until
from whisperfleet.queue import RedisSettings

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600, func_only=True)]


def test_a_given_cluster_is_reached_through_the_api_server(
    testbed: Testbed,
    worker_image: str,  # noqa: ARG001 - it brings that of Redis
    namespace: str,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(KUBECONFIG_VARIABLE, str(testbed.kubeconfig))
    monkeypatch.setenv("PATH", f"{testbed.kubectl.parent}{os.pathsep}{os.environ['PATH']}")
    with any_cluster(request, tmp_path_factory.mktemp("given")) as given:
        assert given.origin == f"the one of {testbed.kubeconfig}"
        # Nobody may hurt its parts or knows its node.
        assert given.testbed is None
        run_redis(given.kube, namespace)

        with given.reach(namespace, "redis", 6379) as url:
            assert url.startswith("redis://127.0.0.1:")
            with RedisSettings(url).connect() as client:
                until(client.ping, f"Redis answers at {url}")
                assert client.config_get("appendonly") == {"appendonly": "yes"}
        with (
            RedisSettings(url).connect() as client,
            pytest.raises(redis.ConnectionError),
        ):
            # What was forwarded ends with the block.
            client.ping()

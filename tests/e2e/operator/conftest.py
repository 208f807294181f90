"""The cluster with our resource in it, and an operator for one namespace."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from hack.testbed import Testbed
from support.cluster.clusters import Cluster
from support.cluster.fleet import own_namespace, run_redis
from support.cluster.kube import Json, Kube, until
from support.operator.audit import AuditLog
from support.operator.definition import define_resource
from support.operator.process import Operator, account_kubeconfig, let_in, running_operator
from support.operator.services import SERVICE, Service, manifest
from whisperfleet.client import Client
from whisperfleet.queue import RedisSettings

ApplyService = Callable[..., Service]

_SHOWN_CHARACTERS = 20_000


@pytest.fixture(scope="session")
def kube(kube: Kube) -> Kube:
    """The API server with our CRD."""
    define_resource(kube)
    return kube


@pytest.fixture(scope="session")
def account(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kubeconfig of the operator's service account, on a cluster with our CRD."""
    # Not by `kube`, in place of which a class of tests may have a client of its own.
    define_resource(cluster.kube)
    return account_kubeconfig(cluster.kube, tmp_path_factory.mktemp("account"))


@pytest.fixture
def namespace(kube: Kube, account: Path) -> Iterator[str]:  # noqa: ARG001 - the rights come first
    """A namespace in which the operator may act."""
    with own_namespace(kube, f"test-{uuid.uuid4().hex[:8]}") as name:
        let_in(kube, name)
        yield name
        kube.run("-n", name, "delete", "transcriptionservices.whisperfleet.io", "--all")
        # KEDA has to take its finalizer away while it still may.
        until(lambda: not kube.list("ScaledObject", name), "the ScaledObjects are gone", 60)


@pytest.fixture
def redis_url(
    cluster: Cluster,
    namespace: str,
    worker_image: str,  # noqa: ARG001 - it brings that of Redis
) -> Iterator[str]:
    """A Redis of the namespace, at an address that this machine and the pods reach."""
    run_redis(cluster.kube, namespace)
    with cluster.reach(namespace, "redis", 6379) as url:
        with RedisSettings(url).connect() as client:
            # Its pod is ready a moment before its Service leads there.
            until(client.ping, f"Redis answers at {url}")
        yield url


@pytest.fixture
def queue(redis_url: str, namespace: str) -> Iterator[Client]:
    """A producer for the service's queue."""
    with Client(RedisSettings(redis_url), f"{namespace}.{SERVICE}") as client:
        yield client


@pytest.fixture
def raw(redis_url: str) -> Iterator[redis.Redis]:
    with RedisSettings(redis_url).connect() as client:
        yield client


@pytest.fixture
def operator(
    request: pytest.FixtureRequest, account: Path, namespace: str, tmp_path: Path
) -> Iterator[Operator]:
    """An operator for the test's namespace; the end of its log is shown where the test fails."""
    with running_operator(account, tmp_path, f"--namespaces={namespace}", wait=False) as running:
        if "redis_url" in request.fixturenames:
            # Both take their time, and take it at once.
            request.getfixturevalue("redis_url")
        running.wait_until_ready()
        yield running
        print(running.log.read_text()[-_SHOWN_CHARACTERS:])


@pytest.fixture
def audit(testbed: Testbed, namespace: str) -> AuditLog:
    """What the API server's audit log says of the test's namespace, from here on."""
    return AuditLog.begin(testbed.audit_log, namespace)


@pytest.fixture
def apply_service(kube: Kube, namespace: str, worker_image: str, redis_url: str) -> ApplyService:
    """Call it with what the spec shall say beside the least."""

    def apply(**spec: Any) -> Service:
        wanted: Json = manifest(SERVICE, namespace, worker_image, redis_url, **spec)
        kube.create(wanted, namespace)
        return Service(kube, namespace)

    return apply

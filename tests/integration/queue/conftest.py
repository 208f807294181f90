"""A queue of each test's own, and as many consumers of it as the test wants."""

from collections.abc import Iterator
from itertools import count

import pytest
import redis

from support.queue.consumers import PATIENT, MakeWorker
from whisperfleet.client import Admin, Client
from whisperfleet.contract.keys import Keys
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.queue import QueuePolicy, WorkQueue


@pytest.fixture
def make_worker(redis_client: redis.Redis, keys: Keys) -> MakeWorker:
    """Return a function that makes the next consumer of the queue."""
    numbers = count(1)

    def make(policy: QueuePolicy = PATIENT, **more: object) -> WorkQueue:
        return WorkQueue(redis_client, keys, f"worker-{next(numbers)}", policy=policy, **more)

    return make


@pytest.fixture
def worker(make_worker: MakeWorker) -> WorkQueue:
    """One consumer with long leases."""
    return make_worker()


@pytest.fixture
def client(server: EmbeddedServer, queue_id: str) -> Iterator[Client]:
    """A producer of the queue."""
    with Client(server.settings, queue_id) as producer:
        yield producer


@pytest.fixture
def admin(server: EmbeddedServer, queue_id: str) -> Iterator[Admin]:
    """An administrator of the queue."""
    with Admin(server.settings, queue_id) as administrator:
        yield administrator


@pytest.fixture
def acme(server: EmbeddedServer, queue_id: str) -> Iterator[Client]:
    with Client(server.settings, queue_id, tenant="acme") as producer:
        yield producer

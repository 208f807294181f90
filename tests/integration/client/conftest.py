"""A queue of each test's own and a consumer of it."""

import pytest
import redis

from support.queue.consumers import PATIENT
from whisperfleet.contract.keys import Keys
from whisperfleet.queue import WorkQueue


@pytest.fixture
def worker(redis_client: redis.Redis, keys: Keys) -> WorkQueue:
    """A consumer with long leases."""
    return WorkQueue(redis_client, keys, "worker", policy=PATIENT)

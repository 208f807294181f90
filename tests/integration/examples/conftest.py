"""A fleet of one for the producers, and each producer ready to run."""

from collections.abc import Iterator

import pytest

from support.examples.producers import Producer, make_producer
from support.workers import running_worker
from whisperfleet.demo.server import EmbeddedServer


@pytest.fixture(scope="session")
def fleet(any_server: EmbeddedServer) -> Iterator[str]:
    """The id of a queue with a worker."""
    queue_id = "test.producers"
    with running_worker(any_server, queue_id):
        yield queue_id


@pytest.fixture(scope="session")
def producer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Producer:
    """The producer in the language that the test names; skipped where its client cannot be had."""
    return make_producer(request.param, tmp_path_factory.mktemp("producer"))

"""A stage for each test: on a shared server where it stays up, else on one of the test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.scene import Scene, scene
from servers import SERVERS, server_binary
from whisperfleet.demo.server import EmbeddedServer


@pytest.fixture
def stage(any_server: EmbeddedServer, queue_id: str, tmp_path: Path) -> Iterator[Scene]:
    """A queue where the kind of server makes no difference."""
    with scene(any_server, queue_id, tmp_path) as made:
        yield made


@pytest.fixture
def each_stage(server: EmbeddedServer, queue_id: str, tmp_path: Path) -> Iterator[Scene]:
    """A queue on a server of each kind."""
    with scene(server, queue_id, tmp_path) as made:
        yield made


@pytest.fixture(params=SERVERS)
def own_stage(request: pytest.FixtureRequest, queue_id: str, tmp_path: Path) -> Iterator[Scene]:
    """A queue on a server of the test's own, of each kind; it keeps what it has acknowledged."""
    with (
        EmbeddedServer(server_binary(request.param), append_only=True) as running,
        scene(running, queue_id, tmp_path) as made,
    ):
        yield made

"""A stage for each test: on a shared server where it stays up, else on one of the test's own."""

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.faults.scene import Scene, scene
from support.servers import SERVERS, is_there, server_binary
from whisperfleet.demo.server import EmbeddedServer


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each row one kind of server, by its name; with EVERY_SERVER=1 each that there is.

    What differs between them is in the scripts, and tests/integration/queue runs those on all.
    """
    if "kind" in metafunc.fixturenames:
        kinds = [kind for kind in SERVERS if is_there(kind)] or list(SERVERS)
        if os.environ.get("EVERY_SERVER") != "1":
            kinds = [kinds[zlib.crc32(metafunc.definition.name.encode()) % len(kinds)]]
        metafunc.parametrize("kind", kinds)


@pytest.fixture
def stage(any_server: EmbeddedServer, queue_id: str, tmp_path: Path) -> Iterator[Scene]:
    """A queue where the kind of server makes no difference."""
    with scene(any_server, queue_id, tmp_path) as made:
        yield made


@pytest.fixture
def own_stage(kind: str, queue_id: str, tmp_path: Path) -> Iterator[Scene]:
    """A queue on a server of the test's own; it keeps what it has acknowledged."""
    with (
        EmbeddedServer(server_binary(kind), append_only=True) as running,
        scene(running, queue_id, tmp_path) as made,
    ):
        yield made

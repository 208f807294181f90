"""Servers on loopback: one that may be contacted, and one that may not."""

import pytest

from support.audio.servers import serving


@pytest.fixture
def server():
    with serving() as running:
        yield running


@pytest.fixture
def forbidden():
    with serving("127.0.0.2") as running:
        yield running
        assert running.connections == 0

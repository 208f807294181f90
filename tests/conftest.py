"""Servers that tests share; a test has a queue of its own rather than a server of its own."""

import signal
import uuid
from collections.abc import Callable, Iterator

import hypothesis
import pytest
import redis

from support.servers import SERVERS, describe_servers, server_binary
from whisperfleet.contract.keys import Keys
from whisperfleet.demo.server import EmbeddedServer


def pytest_configure() -> None:
    """Let the processes that tests start be interrupted, whoever started the tests.

    And no example of a property is held to a time: a busy machine would break that.
    """
    hypothesis.settings.register_profile("whisperfleet", deadline=None)
    hypothesis.settings.load_profile("whisperfleet")
    # A shell without job control has what it starts in the background ignore SIGINT, and children
    # inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str:
    """Say which servers the tests run against."""
    return f"servers: {describe_servers()}"


@pytest.fixture(scope="session", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[EmbeddedServer]:
    """A running server of each kind; do not stop it."""
    with EmbeddedServer(server_binary(request.param)) as running:
        yield running


@pytest.fixture(scope="session")
def any_server() -> Iterator[EmbeddedServer]:
    """A running server of the first kind there is, where the kind makes no difference."""
    with EmbeddedServer() as running:
        yield running


@pytest.fixture(params=SERVERS)
def own_server(request: pytest.FixtureRequest) -> Iterator[EmbeddedServer]:
    """A server of each kind for one test alone: it may be stopped, flushed or filled."""
    with EmbeddedServer(server_binary(request.param)) as running:
        yield running


@pytest.fixture
def queue_id() -> str:
    """The id of a queue that no other test uses."""
    return f"test.{uuid.uuid4().hex[:12]}"


@pytest.fixture
def keys(queue_id: str) -> Keys:
    """The key names of this test's queue."""
    return Keys(queue_id)


@pytest.fixture
def redis_client(server: EmbeddedServer) -> Iterator[redis.Redis]:
    """A client of `server`."""
    client = server.settings.connect()
    yield client
    client.close()


@pytest.fixture
def report_figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Call it with a sentence that the end of the run shall show, also of a test that passed."""
    return lambda sentence: record_property("figure", sentence)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures of all tests."""
    reports = terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
    figures = [
        value for report in reports for name, value in report.user_properties if name == "figure"
    ]
    if figures:
        terminalreporter.section("figures")
    for figure in figures:
        terminalreporter.write_line(figure)

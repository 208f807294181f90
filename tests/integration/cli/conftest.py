"""The command line, inside the test's process and as a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner, Result

from whisperfleet.cli.app import app
from whisperfleet.client import Admin, Client
from whisperfleet.contract.keys import Keys
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.queue import WorkQueue
from whisperfleet.worker.settings import WorkerSettings

Invoke = Callable[..., Result]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def environment(any_server: EmbeddedServer, queue_id: str) -> dict[str, str]:
    """What makes every command use this test's queue; nothing else of the project's is set."""
    cleared = {k: v for k, v in os.environ.items() if not k.startswith("WHISPERFLEET_")}
    return cleared | {"WHISPERFLEET_REDIS": any_server.url, "WHISPERFLEET_QUEUE": queue_id}


@pytest.fixture
def invoke(environment: dict[str, str]) -> Invoke:
    """Run a command in this process."""

    def run(
        *arguments: str,
        stdin: bytes | None = None,
        work: Callable[[WorkerSettings], int] | None = None,
        **more_environment: str,
    ) -> Result:
        return CliRunner().invoke(
            app, list(arguments), input=stdin, env=environment | more_environment, obj=work
        )

    return run


@pytest.fixture
def start(environment: dict[str, str]) -> Iterator[Start]:
    """Start a command as a process; it is gone after the test."""
    started = []

    def begin(*arguments: str, **more_environment: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "whisperfleet", *arguments],
            env=environment | more_environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def client(any_server: EmbeddedServer, queue_id: str) -> Iterator[Client]:
    """A producer of this test's queue."""
    with Client(any_server.settings, queue_id) as own:
        yield own


@pytest.fixture
def admin(any_server: EmbeddedServer, queue_id: str) -> Iterator[Admin]:
    """An administrator of this test's queue."""
    with Admin(any_server.settings, queue_id) as administrator:
        yield administrator


@pytest.fixture
def work_queue(any_server: EmbeddedServer, keys: Keys) -> Iterator[WorkQueue]:
    """The worker's side of this test's queue, with the test as the worker."""
    connection = any_server.settings.connect()
    queue = WorkQueue(connection, keys, "test-worker")
    queue.register()
    yield queue
    connection.close()

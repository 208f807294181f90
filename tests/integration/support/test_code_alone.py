"""The watch over unit tests sees what they must not do, and accuses nobody of what others do."""

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.code_alone import code_alone


def bind() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))


def connect() -> None:
    with socket.socket() as one:
        one.connect_ex(("127.0.0.1", 1))


def start() -> None:
    subprocess.run([sys.executable, "--version"], check=True, capture_output=True)


def in_a_thread() -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(bind).result()


@pytest.mark.parametrize(
    ("does", "told"),
    [
        (bind, r"binds a socket \(\('127.0.0.1', 0\)\)"),
        (connect, r"connects a socket \(\('127.0.0.1', 1\)\)"),
        (start, "starts a process"),
        (in_a_thread, "binds a socket"),
    ],
)
def test_what_is_more_than_code_fails_and_says_where_to_go(
    does: Callable[[], None], told: str
) -> None:
    with (
        pytest.raises(pytest.fail.Exception, match=rf"{told}.*: move it to tests/integration"),
        code_alone(),
    ):
        does()


def test_code_that_waits_for_itself_is_let_be() -> None:
    with code_alone():
        asyncio.run(asyncio.sleep(0))


def test_a_thread_that_was_there_before_is_not_this_tests() -> None:
    begin = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(lambda: begin.wait(60) and bind())
        with code_alone():
            begin.set()
            other.result()
    assert begin.is_set()


def test_what_comes_after_is_not_watched() -> None:
    with code_alone():
        pass
    bind()

"""Health over HTTP, asked by those who do not behave."""

import socket
import threading
import urllib.request

import pytest

from support.servers import wait_for
from whisperfleet.health import HealthServer


def test_who_says_nothing_is_let_go_without_a_word(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("whisperfleet.health._PATIENCE_SECONDS", 0.2)
    with HealthServer("127.0.0.1", 0, {"/livez": lambda: None}) as health:
        before = threading.active_count()
        silent = [socket.create_connection(("127.0.0.1", health.port)) for _ in range(50)]
        with urllib.request.urlopen(f"http://127.0.0.1:{health.port}/livez") as answer:
            assert answer.status == 200
        for each in silent:
            with each:
                each.settimeout(20)
                assert each.recv(1) == b""
        wait_for(lambda: threading.active_count() == before, "their threads are over")
    assert capfd.readouterr() == ("", "")

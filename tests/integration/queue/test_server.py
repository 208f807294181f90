"""The server that the demo and the tests bring with them."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from support.servers import ALL_SERVERS, server_binary, wait_for
from whisperfleet.demo.server import EmbeddedServer, find_server
from whisperfleet.errors import QueueUnavailableError

PROGRAM = """
import sys
from pathlib import Path
from whisperfleet.demo.server import EmbeddedServer
with EmbeddedServer(Path(sys.argv[1])) as server:
    print(server.url, server.pid, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("kind", ALL_SERVERS)
def test_two_servers_run_side_by_side_and_leave_nothing_behind(kind: str) -> None:
    binary = server_binary(kind)
    with EmbeddedServer(binary) as one, EmbeddedServer(binary) as two:
        assert one.url != two.url
        first, second = one.settings.connect(), two.settings.connect()
        first.set("a", "1")
        assert second.get("a") is None
        folder = Path(first.config_get("dir")["dir"])
        first.close()
        second.close()
        pids = [one.pid, two.pid]
    assert not folder.exists()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_the_usual_port_may_be_taken() -> None:
    with socket.socket() as usual:
        usual.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            usual.bind(("127.0.0.1", 6379))
            usual.listen()
        except OSError:
            pass  # taken already, which is as good
        with EmbeddedServer() as server:
            client = server.settings.connect()
            assert client.ping()
            client.close()


def test_it_comes_back_on_the_same_address() -> None:
    with EmbeddedServer(append_only=True) as server:
        url, client = server.url, server.settings.connect()
        client.set("a", "1")
        server.restart()
        assert server.url == url
        assert client.get("a") == b"1"
        server.stop()
        assert server.pid == 0
        with pytest.raises(redis.ConnectionError):
            client.get("a")
        server.start()
        assert client.get("a") == b"1"
        client.close()


def test_it_ends_with_a_program_that_is_killed() -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, find_server()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with program:
        url, pid = program.stdout.readline().split()
        client = redis.Redis.from_url(url)
        assert client.ping()
        client.close()
        program.send_signal(signal.SIGKILL)
    wait_for(lambda: not Path(f"/proc/{pid}").exists() or _is_zombie(pid), "the server to end")


def _is_zombie(pid: str) -> bool:
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


def test_a_server_that_cannot_start_says_why() -> None:
    with (
        pytest.raises(QueueUnavailableError, match=r"did not start(.|\n)*no-such-option"),
        EmbeddedServer(options=[("no-such-option", "1")]),
    ):
        pass


def test_no_server_at_all_is_said_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(QueueUnavailableError, match="redis-server"):
        find_server(("redis",))

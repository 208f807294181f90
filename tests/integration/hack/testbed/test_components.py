"""How components are started: from which recipe, past which proxies, and when they are ready."""

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from hack.testbed import Layout, Testbed, cgroups, cluster, redis
from hack.testbed.audit import read_events
from hack.testbed.component import Component
from hack.testbed.layout import NODE_IP, SERVICE_RANGE
from hack.testbed.probes import answers
from hack.testbed.processes import Process, launch
from hack.testbed.proxies import past_proxies
from support.servers import free_port, server_binary


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(state=tmp_path / "state", cache=tmp_path / "cache")


@pytest.fixture
def sleeper(tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> Iterator[Component]:
    """A component that is ready at once and reads a file."""
    procs = tmp_path / "cgroup.procs"
    procs.touch()
    monkeypatch.setattr(cgroups, "system_procs", lambda: procs)
    settings = tmp_path / "settings"
    settings.write_text("a: 1\n")
    yield Component("sleeper", ("sleep", "600"), is_ready=lambda: True, configuration=(settings,))
    running = process_of(layout)
    if running.is_alive:
        cluster.stop(running, 1)


def process_of(layout: Layout) -> Process:
    process = Process.read(layout.processes / "sleeper")
    assert process is not None
    return process


def test_what_runs_as_it_should_goes_on(layout: Layout, sleeper: Component) -> None:
    Testbed(layout)._ensure(sleeper)
    before = process_of(layout)

    Testbed(layout)._ensure(replace(sleeper))

    assert process_of(layout) == before
    assert before.is_alive


@pytest.mark.parametrize("changed", ["command", "environment", "configuration"])
def test_what_runs_with_other_settings_is_started_anew(
    layout: Layout, sleeper: Component, changed: str
) -> None:
    Testbed(layout)._ensure(sleeper)
    before = process_of(layout)
    if changed == "configuration":
        sleeper.configuration[0].write_text("a: 2\n")
        now = sleeper
    else:
        other = {"command": ("sleep", "601"), "environment": {"GREETING": "hello"}}
        now = replace(sleeper, **{changed: other[changed]})

    Testbed(layout)._ensure(now)

    assert not before.is_alive
    assert process_of(layout).is_alive
    assert process_of(layout).pid != before.pid


def test_a_proxy_is_not_asked_for_the_testbed() -> None:
    given = {"HTTPS_PROXY": "http://proxy.example:3128", "no_proxy": "intranet.example,localhost"}

    told = past_proxies(given)

    assert told["HTTPS_PROXY"] == given["HTTPS_PROXY"]
    assert told["NO_PROXY"] == told["no_proxy"]
    names = told["NO_PROXY"].split(",")
    assert {"intranet.example", "localhost", NODE_IP, SERVICE_RANGE, ".svc"} <= set(names)
    assert len(names) == len(set(names))
    assert past_proxies(told) == told


def test_what_is_started_knows_that_too(tmp_path: Path) -> None:
    procs, log = tmp_path / "cgroup.procs", tmp_path / "log"
    procs.touch()

    process = launch(["sh", "-c", "echo $NO_PROXY; exec sleep 600"], {}, log, procs)
    try:
        assert cluster.wait_until(lambda: NODE_IP in log.read_text(), 10)
    finally:
        cluster.stop(process, 1)


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_health_endpoint_is_asked_past_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with HTTPServer(("127.0.0.1", 0), Healthy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            assert answers(f"http://127.0.0.1:{server.server_port}/healthz")
        finally:
            server.shutdown()


def test_redis_is_ready_once_it_answers_and_keeps_what_it_acknowledged(
    tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    server_binary("redis")
    monkeypatch.setattr(redis, "REDIS_PORT", free_port())
    monkeypatch.setattr(redis, "NODE_IP", "127.0.0.1")
    component = redis.redis(layout)
    procs = tmp_path / "cgroup.procs"
    procs.touch()
    address = component.ports[0]
    component.prepare()
    assert not component.is_ready()

    for expected in (b"+OK", b"$5\r\nhello"):
        running = launch(component.command, {}, tmp_path / "log", procs)
        try:
            assert cluster.wait_until(component.is_ready, 30), (tmp_path / "log").read_text()
            with socket.create_connection(address, timeout=5) as connection:
                asked = b"SET word hello\r\n" if expected == b"+OK" else b"GET word\r\n"
                connection.sendall(asked)
                assert connection.recv(64).startswith(expected)
        finally:
            # Gone without a chance to write anything.
            os.kill(running.pid, signal.SIGKILL)
            assert cluster.wait_until(lambda process=running: not process.is_alive, 10)


def test_a_line_of_the_audit_log_that_is_half_written_is_left_for_later(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    events = [{"verb": verb, "objectRef": {"namespace": "mine"}} for verb in ("create", "delete")]
    lines = [json.dumps(event) + "\n" for event in events]
    log.write_text(lines[0] + lines[1][:-9])

    assert list(read_events(log)) == events[:1]

    log.write_text("".join(lines) + "not about it\n")
    assert list(read_events(log, about="mine")) == events
    assert list(read_events(log, since=len(lines[0]), about="mine")) == events[1:]
    assert list(read_events(log, about="min")) == []

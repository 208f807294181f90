"""Servers for tests, and what must be true of a queue once everything in it has ended."""

import os
import shutil
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from whisperfleet.contract.events import DoneEvent
from whisperfleet.contract.keys import DEFAULT_PRIORITIES, Keys
from whisperfleet.contract.states import TERMINAL
from whisperfleet.demo.server import find_server
from whisperfleet.errors import QueueUnavailableError

# The distribution's Redis is old. A current one is what REDIS_SERVER_CURRENT names, or what is on
# the PATH as redis-server-current.
CURRENT = "redis-current"
ALL_SERVERS = ("valkey", "redis", CURRENT)
_REQUIRE_CURRENT = "REQUIRE_REDIS_CURRENT"


def server_binary(name: str) -> Path:
    """Return the binary of a kind of server; skip the test by its name where there is none."""
    try:
        return _find(name)
    except QueueUnavailableError as error:
        required = _REQUIRE_CURRENT if name == CURRENT else f"REQUIRE_{name.upper()}"
        if os.environ.get(required) == "1":
            pytest.fail(f"{required}=1, but {error}")
        pytest.skip(f"no {name} server on this machine")


def is_there(name: str) -> bool:
    """Return whether this machine has a kind of server."""
    try:
        _find(name)
    except QueueUnavailableError:
        return False
    return True


def describe_servers() -> str:
    """Return the version of each kind of server that there is on this machine."""
    return ", ".join(f"{name} {_version(name)}" for name in ALL_SERVERS)


def _find(name: str) -> Path:
    if name != CURRENT:
        return find_server((name,))
    found = _current()
    if not found:
        raise QueueUnavailableError(
            "no current Redis was found; let REDIS_SERVER_CURRENT name its binary"
        )
    return Path(found)


def _current() -> str | None:
    return os.environ.get("REDIS_SERVER_CURRENT") or shutil.which("redis-server-current")


def _version(name: str) -> str:
    try:
        said = subprocess.run(
            [_find(name), "--version"], capture_output=True, text=True, check=True
        )
    except QueueUnavailableError:
        return "(none)"
    return said.stdout.partition("v=")[2].partition(" ")[0]


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(condition: Callable[[], object], what: str, seconds: float = 30.0) -> None:
    """Return once the condition holds; fail with what it was about.

    It is asked seldom where it takes long: the processor that asking costs is missed elsewhere.
    """
    begun = time.monotonic()
    while not condition():
        waited = time.monotonic() - begun
        if waited > seconds:
            pytest.fail(f"not within {seconds} s: {what}")
        time.sleep(min(max(0.005, waited / 20), 0.05))


def _is_wanted(name: str) -> bool:
    return name != CURRENT or _current() is not None or os.environ.get(_REQUIRE_CURRENT) == "1"


# What tests run on: where there is no current Redis one test is skipped by that name, and not each.
SERVERS = tuple(filter(_is_wanted, ALL_SERVERS))


@dataclass(frozen=True)
class Books:
    """What the done stream says of each job."""

    states: Counter[str]
    jobs: frozenset[str]


def assert_invariants(client: redis.Redis, keys: Keys, accepted: int, redriven: int = 0) -> Books:
    """Check the queue's promise: every accepted job ended once, visibly, and nothing is left.

    `accepted` counts different jobs, a submission that ran into a conflict among them. `redriven`
    is how many dead jobs were sent again: each of those ended once more.
    """
    # What a client that decodes nothing answers with is bytes, of which its types do not know.
    raw: Any = client
    events = [DoneEvent.from_fields(fields) for _, fields in raw.xrange(keys.done)]
    ends = Counter(event.id for event in events)
    assert len(ends) == accepted, f"{accepted} jobs were accepted and {len(ends)} ended"
    assert sum(ends.values()) == accepted + redriven, f"ended more than once: {ends.most_common(3)}"

    last_epoch: dict[str, int] = {}
    for event in events:
        assert event.epoch > last_epoch.get(event.id, -1), f"the epochs of {event.id} do not grow"
        last_epoch[event.id] = event.epoch
        assert raw.hget(keys.job(event.id), "state").decode() in TERMINAL
        assert client.exists(keys.result(event.id)), f"{event.id} ended without a result"
        assert client.pttl(keys.job(event.id)) > 0, f"the record of {event.id} stays for ever"
        assert client.pttl(keys.result(event.id)) > 0, f"the result of {event.id} stays for ever"

    states = Counter(str(event.state) for event in events)
    totals = {k.decode(): int(v) for k, v in raw.hgetall(keys.counters).items()}
    assert {state: totals.get(state, 0) for state in TERMINAL} == {
        state: states.get(state, 0) for state in TERMINAL
    }
    for stream in client.scan_iter(f"{keys.prefix}in:*"):
        if client.type(stream) != b"stream":
            continue
        assert client.xlen(stream) == 0, f"{stream!r} still holds entries"
        for group in client.xinfo_groups(stream):
            assert group["pending"] == 0, f"{stream!r} still has pending entries"
    assert client.hlen(keys.running) == 0, "an ended job is still listed as running"
    return Books(states, frozenset(ends))


def input_streams(keys: Keys) -> list[str]:
    """Return the names of the shared input streams."""
    return [keys.stream(priority.name) for priority in DEFAULT_PRIORITIES]

"""A queue is made ours and measured, on real servers, alive and dead."""

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis

from support.servers import free_port, server_binary, wait_for
from whisperfleet.contract.keys import Keys
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.errors import QueueUnavailableError
from whisperfleet.queue.access import service_rules, worker_rules
from whisperfleet_operator.queues import (
    CircuitOpenError,
    QueueAddress,
    QueueProbe,
    QueueProblemError,
)
from whisperfleet_operator.resource import Reason

OWNER = "cluster/team-a/calls"
LEASE_SECONDS = 60
BEGAN = 1_790_000_000


@pytest.fixture
def probe(tmp_path: Path) -> QueueProbe:
    return QueueProbe(tmp_path, patience_seconds=30)


@pytest.fixture
def address(server: EmbeddedServer, keys: Keys) -> QueueAddress:
    return address_of(server.settings.url, keys)


def address_of(url: str, keys: Keys, **access: str) -> QueueAddress:
    streams = tuple(keys.stream(name) for name in ("high", "normal", "low"))
    return QueueAddress(url, keys.queue_id, streams, LEASE_SECONDS, **access)


def problem(probe: QueueProbe, address: QueueAddress, owner: str = OWNER) -> QueueProblemError:
    with pytest.raises(QueueProblemError) as caught:
        probe.sample(address, owner)
    return caught.value


def test_streams_and_groups_are_made_from_the_beginning(
    probe: QueueProbe, address: QueueAddress, keys: Keys, redis_client: redis.Redis
):
    sent_before = redis_client.xadd(keys.stream("normal"), {"url": "https://example.org/a.wav"})
    sample = probe.sample(address, OWNER)
    assert (sample.queued, sample.running, sample.lengths) == (1, 0, (0, 1, 0))
    for name in ("high", "normal", "low"):
        (group,) = redis_client.xinfo_groups(keys.stream(name))
        assert group["name"] == keys.group.encode()
    (_, ((entry, _),)) = redis_client.xreadgroup(
        keys.group, "worker", {keys.stream("normal"): ">"}
    )[0]
    assert entry == sent_before


def test_depths_are_what_waits_what_runs_and_what_is_dead(
    probe: QueueProbe, address: QueueAddress, keys: Keys, redis_client: redis.Redis
):
    probe.sample(address, OWNER)
    for name, count in (("high", 1), ("normal", 3)):
        for _ in range(count):
            redis_client.xadd(keys.stream(name), {"audio": b"x" * 1000})
    redis_client.xreadgroup(keys.group, "worker", {keys.stream("normal"): ">"}, count=2)
    redis_client.xadd(keys.dead_letters, {"id": "a"})
    sample = probe.sample(address, OWNER)
    assert (sample.queued, sample.running, sample.dead_letters) == (2, 2, 1)
    assert sample.oldest is not None
    assert abs(sample.oldest - datetime.now(UTC)) < timedelta(seconds=60)


def test_the_oldest_job_is_one_that_waits(
    probe: QueueProbe, address: QueueAddress, keys: Keys, redis_client: redis.Redis
):
    probe.sample(address, OWNER)
    stream = keys.stream("normal")
    for second in (1, 2, 3, 4):
        redis_client.xadd(stream, {"a": "b"}, id=f"{BEGAN + second}000-0")

    def oldest() -> float | None:
        found = probe.sample(address, OWNER).oldest
        return found and found.timestamp() - BEGAN

    def held_for(second: int, silent_seconds: int) -> None:
        idle = silent_seconds * 1000
        entry = f"{BEGAN + second}000-0"
        redis_client.xclaim(stream, keys.group, "worker", 0, [entry], idle=idle)

    assert oldest() == 1
    redis_client.xreadgroup(keys.group, "worker", {stream: ">"}, count=3)
    assert oldest() == 4
    held_for(2, LEASE_SECONDS - 30)
    assert oldest() == 4
    held_for(2, LEASE_SECONDS)
    assert oldest() == 2
    redis_client.xreadgroup(keys.group, "worker", {stream: ">"}, count=1)
    held_for(2, 0)
    assert oldest() is None


@pytest.mark.parametrize("entry", ["1790000000123456-0", "1790000000123456789-0", "1790000000-0"])
def test_an_entry_id_of_a_producers_own_tells_no_time(
    probe: QueueProbe, address: QueueAddress, keys: Keys, redis_client: redis.Redis, entry: str
):
    redis_client.xadd(keys.stream("high"), {"a": "b"}, id=entry)
    sample = probe.sample(address, OWNER)
    assert (sample.queued, sample.oldest) == (1, None)
    redis_client.xadd(keys.stream("low"), {"a": "b"}, id=f"{BEGAN}000-0")
    assert probe.sample(address, OWNER).oldest.timestamp() == BEGAN


@pytest.mark.parametrize("silent_seconds", [0, LEASE_SECONDS])
def test_an_entry_that_vanished_while_it_was_held_counts_for_nothing(
    probe: QueueProbe,
    address: QueueAddress,
    keys: Keys,
    redis_client: redis.Redis,
    silent_seconds: int,
):
    probe.sample(address, OWNER)
    stream = keys.stream("normal")
    entry = redis_client.xadd(stream, {"a": "b"})
    redis_client.xreadgroup(keys.group, "worker", {stream: ">"})
    redis_client.xclaim(stream, keys.group, "worker", 0, [entry], idle=silent_seconds * 1000)
    redis_client.xdel(stream, entry)
    sample = probe.sample(address, OWNER)
    assert (sample.queued, sample.running, sample.oldest) == (0, 0, None)


def test_what_was_flushed_is_made_anew(
    probe: QueueProbe, address: QueueAddress, keys: Keys, redis_client: redis.Redis
):
    probe.sample(address, OWNER)
    redis_client.delete(*address.streams)
    assert probe.sample(address, OWNER).lengths == (0, 0, 0)
    assert redis_client.xinfo_groups(keys.stream("low"))


def test_a_server_that_may_lose_jobs_is_told(probe: QueueProbe, address: QueueAddress):
    (warning,) = probe.sample(address, OWNER).warnings
    assert "appendonly is off" in warning


def test_another_owners_queue_is_left_alone(
    probe: QueueProbe, address: QueueAddress, keys: Keys, redis_client: redis.Redis
):
    redis_client.hset(keys.meta, "owner", "elsewhere/team-a/calls")
    error = problem(probe, address)
    assert error.reason is Reason.QUEUE_OWNED_BY_ANOTHER
    assert "elsewhere/team-a/calls" in str(error)
    assert "another id needs a new service: spec.queue.id cannot be changed" in str(error)
    # The other remedy, word for word.
    command = re.search(r"redis-cli HDEL '(\S+)' owner", str(error))
    assert command
    redis_client.hdel(command[1], "owner")
    assert probe.sample(address, OWNER).queued == 0


def test_a_queue_of_another_protocol_is_refused(
    probe: QueueProbe, address: QueueAddress, keys: Keys, redis_client: redis.Redis
):
    redis_client.hset(keys.meta, "protocol", "9.0")
    error = problem(probe, address)
    assert error.reason is Reason.QUEUE_REFUSED
    assert "protocol 9.x" in str(error)


def test_a_key_of_another_type_is_refused(
    probe: QueueProbe, address: QueueAddress, keys: Keys, redis_client: redis.Redis
):
    redis_client.set(keys.stream("normal"), "no stream")
    assert problem(probe, address).reason is Reason.QUEUE_REFUSED


def test_wrong_credentials_are_refused_and_hold_up_nobody_else(
    probe: QueueProbe, server: EmbeddedServer, address: QueueAddress, keys: Keys
):
    stranger = address_of(server.settings.url, keys, username="nobody", password="wrong")
    for _ in range(3):
        error = problem(probe, stranger)
        assert error.reason is Reason.QUEUE_REFUSED
        assert "refuses the credentials" in str(error)
        assert "wrong" not in str(error)
        assert probe.sample(address, OWNER).queued == 0


@pytest.fixture
def strict_server() -> Iterator[EmbeddedServer]:
    """A server that asks for the password `secret`."""
    with EmbeddedServer(options=[("requirepass", "secret")]) as server:
        yield server


@pytest.mark.parametrize(
    ("access", "remedy"),
    [
        ({}, "name that in spec.queue.redis.credentials"),
        (
            {"password": "secret\n"},
            "the password in the Secret of spec.queue.redis.credentials ends",
        ),
        ({"password": "secret\r\n", "username": "default\n"}, "the user name and the password in"),
        ({"password": "other"}, "correct the keys username and password"),
    ],
)
def test_credentials_that_are_refused_have_their_remedy(
    probe: QueueProbe, strict_server: EmbeddedServer, keys: Keys, access: dict, remedy: str
):
    error = problem(probe, address_of(strict_server.url, keys, **access))
    assert error.reason is Reason.QUEUE_REFUSED
    assert remedy in str(error)
    # And it works.
    assert probe.sample(address_of(strict_server.url, keys, password="secret"), OWNER).queued == 0


def account_with(server: EmbeddedServer, rules: list[str]) -> dict[str, str]:
    with server.settings.connect() as admin:
        admin.execute_command("ACL", "SETUSER", "fleet", "reset", "on", ">secret", *rules)
    return {"username": "fleet", "password": "secret"}


def test_the_account_of_a_service_suffices(
    probe: QueueProbe, own_server: EmbeddedServer, keys: Keys
):
    access = account_with(own_server, service_rules(keys))
    assert probe.sample(address_of(own_server.settings.url, keys, **access), OWNER).queued == 0


def test_the_account_of_a_worker_alone_does_not(
    probe: QueueProbe, own_server: EmbeddedServer, keys: Keys
):
    access = account_with(own_server, worker_rules(keys))
    error = problem(probe, address_of(own_server.settings.url, keys, **access))
    assert error.reason is Reason.QUEUE_REFUSED
    assert "give it the rights that docs/protocol.md has" in str(error)


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"redis://127.0.0.1:{listening.getsockname()[1]}/0"


def test_a_server_that_never_answers_holds_up_nobody(
    tmp_path: Path, address: QueueAddress, keys: Keys, silent_server: str
):
    probe = QueueProbe(tmp_path, patience_seconds=0.05)
    silent = address_of(silent_server, keys)

    def asked() -> Exception:
        with pytest.raises((QueueProblemError, CircuitOpenError)) as caught:
            probe.sample(silent, OWNER)
        return caught.value

    began = time.monotonic()
    for _ in range(20):
        assert isinstance(asked(), CircuitOpenError)
    assert time.monotonic() - began < 4
    wait_for(lambda: isinstance(asked(), QueueProblemError), "the silence is understood")
    error = asked()
    assert isinstance(error, QueueProblemError)
    assert error.reason is Reason.QUEUE_UNREACHABLE
    assert "Timeout" in str(error)
    wait_for(lambda: _is_reached(probe, address), "another server is reached meanwhile")


def _is_reached(probe: QueueProbe, address: QueueAddress) -> bool:
    try:
        probe.sample(address, OWNER)
    except CircuitOpenError:
        return False
    return True


def test_a_server_that_is_gone_and_comes_back(tmp_path: Path, keys: Keys):
    clock = [0.0]
    probe = QueueProbe(tmp_path, lambda: clock[0], patience_seconds=30)
    with EmbeddedServer() as server:
        address = address_of(server.url, keys)
        probe.sample(address, OWNER)
        server.kill()
        error = problem(probe, address)
        assert error.reason is Reason.QUEUE_UNREACHABLE
        assert "the address, the network" in str(error)
        server.start()
        # Not at once: a server that comes back is not met by everybody together.
        assert problem(probe, address).reason is Reason.QUEUE_UNREACHABLE
        clock[0] += 60
        assert probe.sample(address, OWNER).queued == 0


def authority(folder: Path, name: str) -> tuple[Path, Path]:
    """Return a certificate for 127.0.0.1 that is its own authority, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl on this machine to make a certificate with")
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[tuple[str, str, str]]:
    """A server with TLS: its URL, its authority, and another one."""
    certificate, key = authority(tmp_path, "right")
    other, _ = authority(tmp_path, "wrong")
    port = free_port()
    options = [
        ("tls-port", str(port)),
        ("tls-cert-file", str(certificate)),
        ("tls-key-file", str(key)),
        ("tls-auth-clients", "no"),
    ]
    with ExitStack() as stack:
        try:
            stack.enter_context(EmbeddedServer(server_binary("redis"), options=options))
        except QueueUnavailableError as error:
            pytest.skip(f"the server was built without TLS: {error}")
        yield f"rediss://127.0.0.1:{port}/0", certificate.read_text(), other.read_text()


def test_a_wrong_authority_holds_up_nobody_else(
    tmp_path: Path, guarded: tuple[str, str, str], keys: Keys
):
    url, right, wrong = guarded
    clock = [0.0]
    folder = tmp_path / "authorities"
    folder.mkdir()
    probe = QueueProbe(folder, lambda: clock[0], patience_seconds=30)
    for _ in range(3):
        error = problem(probe, address_of(url, keys, ca=wrong), "cluster/team-b/calls")
        assert error.reason is Reason.QUEUE_UNREACHABLE
        assert "certificate" in str(error)
        assert probe.sample(address_of(url, keys, ca=right), OWNER).queued == 0
    assert len(list(folder.iterdir())) == 2
    clock[0] += 200
    assert probe.sample(address_of(url, keys, ca=right), OWNER).queued == 0
    clock[0] += 200
    assert probe.sample(address_of(url, keys, ca=right), OWNER).queued == 0
    assert [file.read_text() for file in folder.iterdir()] == [right]


def test_a_services_rights_are_enough_on_another_database_and_over_pauses(
    probe: QueueProbe,
    server: EmbeddedServer,
    redis_client: redis.Redis,
    keys: Keys,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("whisperfleet.queue.pool._MOST_AGE_SECONDS", 0.05)
    monkeypatch.setattr("whisperfleet_operator.queues.probe._REGISTRATION_SECONDS", 0.0)
    name, database = f"service-{keys.queue_id}", 3
    redis_client.execute_command(
        *("ACL", "SETUSER", name, "reset", "on", ">p"), *service_rules(keys, database)
    )
    url = server.url.removesuffix("/0") + f"/{database}"
    try:
        connections: set[str] = set()
        for _ in range(4):
            assert (
                probe.sample(address_of(url, keys, username=name, password="p"), OWNER).queued == 0
            )
            connections |= {c["id"] for c in redis_client.client_list() if c["user"] == name}
            until = time.monotonic() + 0.06
            wait_for(lambda until=until: time.monotonic() > until, "the connection is old")
        assert len(connections) == 4
    finally:
        refused = [entry for entry in redis_client.acl_log() if entry["username"] == name]
        redis_client.acl_deluser(name)
    assert refused == []

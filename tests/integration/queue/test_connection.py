"""Addresses, credentials and what they must never show up in."""

import multiprocessing
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis

from support.servers import free_port, server_binary, wait_for
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.errors import ConfigurationError, QueueUnavailableError
from whisperfleet.queue import RedisSettings, WorkQueue, describe_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://user:secret@redis.example.org:6380/2", "redis://redis.example.org:6380/2"),
        ("rediss://:secret@[2001:db8::1]:6380/0", "rediss://[2001:db8::1]:6380/0"),
        ("unix://user:secret@/run/redis.sock?db=1", "unix:///run/redis.sock"),
        ("redis://redis.example.org", "redis://redis.example.org"),
        ("redis://user:secret@host:port", "an address that cannot be parsed"),
    ],
)
def test_an_address_is_shown_without_credentials(url: str, shown: str) -> None:
    assert describe_url(url) == shown


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("http://:secret@redis.example.org", "begins with redis://"),
        ("redis://:secret@redis.example.org:port", "cannot be parsed"),
        ("redis://:secret@redis.example.org:6379/0?retry_on_timeout=yes", "retry_on_timeout"),
        ("redis://:secret@[2001:db8::1", "cannot be parsed"),
        ("redis://:secret@redis.example.org/abc", "a database that is no number"),
        ("redis://:secret@redis.example.org/-1", "a database that is no number"),
        ("redis://:secret@redis.example.org/0/1", "a database that is no number"),
        ("redis://:secret@redis.example.org?db=x", "a database that is no number"),
        ("rediss://:secret@redis.example.org?db=-1", "a database that is no number"),
        ("unix://:secret@/run/redis.sock?db=", "a database that is no number"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_its_password(
    url: str, what: str
) -> None:
    with pytest.raises(ConfigurationError, match=what) as caught:
        RedisSettings(url)
    chain: BaseException | None = caught.value
    while chain:
        assert "secret" not in str(chain)
        chain = None if chain.__suppress_context__ else chain.__cause__ or chain.__context__


@pytest.mark.parametrize(
    ("url", "database"),
    [
        ("redis://redis.example.org", 0),
        ("redis://redis.example.org/", 0),
        ("redis://redis.example.org/3", 3),
        ("redis://redis.example.org?db=4", 4),
        ("unix:///run/redis.sock?db=5", 5),
        ("unix:///run/redis.sock", 0),
    ],
)
def test_a_database_is_the_one_that_the_address_names(url: str, database: int) -> None:
    with RedisSettings(url).connect() as client:
        assert client.connection_pool.connection_kwargs.get("db", 0) == database


def test_the_repr_shows_no_secret() -> None:
    settings = RedisSettings("redis://:secret@redis.example.org", "user", "other-secret")
    assert "secret" not in repr(settings)


def test_ca_files_belong_to_tls(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    with pytest.raises(ConfigurationError, match="does not exist"):
        RedisSettings("rediss://redis.example.org", ca_file=ca)
    ca.touch()
    with pytest.raises(ConfigurationError, match="not TLS"):
        RedisSettings("redis://redis.example.org", ca_file=ca)


def test_credentials_of_their_own_win_over_those_of_the_address(any_server: EmbeddedServer) -> None:
    admin = any_server.settings.connect()
    admin.execute_command("ACL", "SETUSER", "worker", "on", ">p@ss:/?#", "~*", "+@all")
    url = any_server.url.replace("redis://", "redis://worker:wrong@")
    with pytest.raises(QueueUnavailableError, match="refuses this account") as caught:
        WorkQueue(RedisSettings(url).connect(), Keys("q"), "w").register()
    assert "wrong" not in str(caught.value)
    client = RedisSettings(url, password="p@ss:/?#").connect()
    assert client.ping()
    client.close()
    admin.acl_deluser("worker")
    admin.close()


class DeafServer:
    """Reads one command a connection, counts it and hangs up: its reply is lost."""

    def __init__(self) -> None:
        self.commands = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                if not connection.recv(65536):
                    return
                self.commands += 1

    def close(self) -> None:
        address = self._listener.getsockname()
        socket.create_connection(address).close()
        self._thread.join()
        self._listener.close()


@pytest.mark.parametrize(("job_id", "sendings"), [(None, 1), ("call-7", 6)])
def test_a_job_is_sent_again_only_where_that_does_no_harm(
    job_id: str | None, sendings: int
) -> None:
    server = DeafServer()
    try:
        with (
            Client(RedisSettings(server.url), "q") as client,
            pytest.raises(redis.ConnectionError),
        ):
            client.submit(Job(id=job_id, url="https://media.example.org/a.wav"))
    finally:
        server.close()
    assert server.commands == sendings


@pytest.fixture
def unix_settings(tmp_path: Path) -> Iterator[RedisSettings]:
    path = tmp_path / "s"
    with EmbeddedServer(options=[("unixsocket", str(path))]):
        yield RedisSettings(f"unix://{path}?db=1")


@pytest.fixture
def tls_settings(tmp_path: Path) -> Iterator[RedisSettings]:
    """Yield settings that trust the server's certificate, which no system authority has signed."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl on this machine to make a certificate with")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
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
    tls_port = free_port()
    options = [
        ("tls-port", str(tls_port)),
        ("tls-cert-file", str(certificate)),
        ("tls-key-file", str(key)),
        ("tls-auth-clients", "no"),
    ]
    with ExitStack() as stack:
        try:
            stack.enter_context(EmbeddedServer(server_binary("redis"), options=options))
        except QueueUnavailableError as error:
            pytest.skip(f"the server was built without TLS: {error}")
        yield RedisSettings(f"rediss://127.0.0.1:{tls_port}/0", ca_file=certificate)


def test_tls_is_checked_against_the_given_authority(tls_settings: RedisSettings) -> None:
    with tls_settings.connect() as trusting:
        assert trusting.ping()
    with (
        RedisSettings(tls_settings.url).connect() as doubting,
        pytest.raises(QueueUnavailableError, match="TLS"),
    ):
        WorkQueue(doubting, Keys("q"), "w").register()


@pytest.fixture(params=["tcp", "unix", "tls"])
def settings(request: pytest.FixtureRequest) -> RedisSettings:
    if request.param == "tcp":
        server: EmbeddedServer = request.getfixturevalue("any_server")
        return server.settings
    settings: RedisSettings = request.getfixturevalue(f"{request.param}_settings")
    return settings


def test_a_connection_that_the_server_has_closed_is_not_used_again(settings: RedisSettings) -> None:
    with settings.connect() as client, settings.connect() as admin:
        for _ in range(20):
            own = client.client_id()
            assert client.client_id() == own, "an open connection is used again"
            admin.client_kill_filter(_id=own)
            assert client.client_id() != own


def test_who_finds_no_free_connection_is_told_how_many_there_are(
    any_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whisperfleet.queue.connection._MOST_CONNECTIONS", 1)
    monkeypatch.setattr("whisperfleet.queue.connection._FREE_CONNECTION_SECONDS", 0.1)
    with any_server.settings.connect() as client, any_server.settings.connect() as admin:
        blocked = threading.Thread(target=client.blpop, args=("no-such-list", 60))
        blocked.start()
        wait_for(lambda: admin.info("clients")["blocked_clients"] >= 1, "one thread waits")
        with pytest.raises(redis.ConnectionError, match=r"all 1 connections .* none came free"):
            client.ping()
        admin.lpush("no-such-list", "a word")
        blocked.join()
        assert client.ping()


def test_a_connection_that_cannot_be_made_is_free_for_the_next_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("whisperfleet.queue.connection._MOST_CONNECTIONS", 1)
    monkeypatch.setattr("whisperfleet.queue.connection._FREE_CONNECTION_SECONDS", 0.1)
    with RedisSettings(f"redis://127.0.0.1:{free_port()}").connect() as client:
        for _ in range(3):
            with pytest.raises(redis.ConnectionError, match="refused"):
                client.ping()


def test_a_process_that_was_forked_makes_connections_of_its_own(any_server: EmbeddedServer) -> None:
    forking = multiprocessing.get_context("fork")
    told = forking.SimpleQueue()
    with any_server.settings.connect() as client:
        own = client.client_id()
        child = forking.Process(target=lambda: told.put(client.client_id()))
        child.start()
        child.join(60)
        assert child.exitcode == 0
        assert told.get() not in {own, None}
        assert client.client_id() == own

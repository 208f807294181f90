"""Real workers and producers over TLS, with the least rights, and beside other versions."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from support.faults.scene import BRIEF, LEASE_SECONDS, Scene, clip
from support.servers import SERVERS, free_port, server_binary, wait_for
from support.workers import DIRECTED, running_worker, start_worker
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.states import State
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.errors import QueueUnavailableError
from whisperfleet.queue import RedisSettings
from whisperfleet.queue.access import producer_rules, worker_rules

PASSWORD = "a p@ss:w/rd"
# Longer than a lease, so that the lease process must have been let in as well.
LONG = f"sleep {1.25 * LEASE_SECONDS}"


@dataclass(frozen=True)
class Secured:
    """A server that speaks TLS at `url`."""

    server: EmbeddedServer
    url: str
    authority: Path
    stranger: Path


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Return a certificate for 127.0.0.1 that is its own authority, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl on this machine to make a certificate with")
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-days", "2", "-subj", f"/CN={name}"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


@pytest.fixture(params=SERVERS)
def secured(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Secured]:
    certificate, key = make_certificate(tmp_path, "authority")
    stranger, _ = make_certificate(tmp_path, "stranger")
    port = free_port()
    options = [
        ("tls-port", str(port)),
        ("tls-cert-file", str(certificate)),
        ("tls-key-file", str(key)),
        ("tls-auth-clients", "no"),
    ]
    with ExitStack() as stack:
        try:
            server = stack.enter_context(
                EmbeddedServer(server_binary(request.param), options=options)
            )
        except QueueUnavailableError as error:
            pytest.skip(f"this {request.param} was built without TLS: {error}")
        yield Secured(server, f"rediss://127.0.0.1:{port}/0", certificate, stranger)


def trusting(ca_file: Path) -> dict[str, str]:
    return {"WHISPERFLEET_REDIS_CA_FILE": str(ca_file)}


def test_a_job_over_tls(secured: Secured, queue_id: str) -> None:
    # By a name that means something in the folder of the worker alone, and not in its children's.
    authority = Path(secured.authority.name)
    with (
        running_worker(
            secured,
            queue_id,
            *BRIEF,
            program=DIRECTED,
            environment=trusting(authority),
            cwd=secured.authority.parent,
        ),
        Client(RedisSettings(secured.url, ca_file=secured.authority), queue_id) as client,
    ):
        job = client.submit(Job(audio=clip(), prompt=LONG))
        ((_, result),) = client.wait([job], timeout_seconds=60)
    assert (result.state, result.epoch) == (State.DONE, 1)


def test_a_server_of_another_authority_is_refused_in_a_sentence(
    secured: Secured, queue_id: str
) -> None:
    environment = trusting(secured.stranger)
    worker = start_worker(secured, queue_id, environment=environment)
    assert worker.wait() == 5
    assert "certificate verify failed" in worker.raw_log
    assert "the address, the network and TLS" in worker.raw_log
    assert "Traceback" not in worker.raw_log

    asked = subprocess.run(
        [
            *(sys.executable, "-m", "whisperfleet", "queue", "stats"),
            *("--redis", secured.url, "--queue", queue_id),
        ],
        env={**os.environ, **environment},
        check=False,
        capture_output=True,
        text=True,
    )
    assert asked.returncode == 5
    assert "certificate verify failed" in asked.stderr
    assert "Traceback" not in asked.stderr


def allow(admin: redis.Redis, name: str, rules: list[str]) -> dict[str, str]:
    """Make a user with exactly these rights; return the environment to be that user."""
    admin.execute_command("ACL", "SETUSER", name, "reset", "on", f">{PASSWORD}", *rules)
    return {"WHISPERFLEET_REDIS_USERNAME": name, "WHISPERFLEET_REDIS_PASSWORD": PASSWORD}


def test_a_worker_and_a_producer_with_exactly_their_rights(own_stage: Scene) -> None:
    raw, keys = own_stage.raw, own_stage.keys
    as_worker = allow(raw, "worker", worker_rules(keys))
    allow(raw, "producer", producer_rules(keys, "normal"))
    producer = RedisSettings(own_stage.server.url, "producer", PASSWORD)
    options = (*BRIEF, "--max-retries", "1", "--drain-seconds", "0.5", "--max-in-flight", "2")

    with Client(producer, keys.queue_id) as client:
        client.submit(Job(id="call-1", audio=clip(), prompt=LONG))
        client.submit(Job(id="call-2", audio=b"no audio"))
        raw.xadd(keys.stream("normal"), {"hello": "world"})
        with running_worker(
            own_stage.server, keys.queue_id, *options, program=DIRECTED, environment=as_worker
        ) as first:
            own_stage.wait_until_begun(["call-1"])
            own_stage.assert_done(["call-1"])
            client.submit(Job(id="call-3", audio=clip(), prompt=f"gate {own_stage.gate}"))
            own_stage.wait_until_begun(["call-3"])
            first.kill()
        own_stage.open_gate()
        with running_worker(
            own_stage.server, keys.queue_id, *options, program=DIRECTED, environment=as_worker
        ) as second:
            own_stage.assert_done(["call-3"])
            wait_for(lambda: own_stage.total("dead") == 1, "the malformed entry is dead")
            assert "permission" not in first.raw_log + second.raw_log

    # The server's own list of who asked for more than they may.
    assert raw.execute_command("ACL", "LOG") == []
    assert own_stage.status("call-1").epoch == 1
    assert own_stage.client.result("call-2").state is State.FAILED
    own_stage.assert_invariants(accepted=4)


@pytest.mark.parametrize(
    ("safe", "warned_about"),
    [(True, []), (False, ["maxmemory-policy is allkeys-lru", "appendonly is off"])],
)
def test_settings_that_may_lose_jobs_are_warned_about_by_name(
    queue_id: str, safe: bool, warned_about: list[str]
) -> None:
    options = [("maxmemory-policy", "noeviction" if safe else "allkeys-lru")]
    with (
        EmbeddedServer(append_only=safe, options=options) as server,
        running_worker(server, queue_id) as worker,
    ):
        warnings = [line["message"] for line in worker.log if line.get("level") == "warning"]
    assert len(warnings) == len(warned_about), warnings
    for setting in warned_about:
        assert any(setting in warning for warning in warnings)


def test_another_minor_version_works(stage: Scene) -> None:
    stage.raw.hset(stage.keys.meta, "protocol", "1.9")
    with stage.worker():
        fields = {"v": "1.7", "id": "call-1", "audio": clip(), "mood": "hopeful", "x-new": "1"}
        stage.raw.xadd(stage.keys.stream("normal"), fields)
        stage.assert_done(["call-1"])
    assert stage.raw.hget(stage.keys.meta, "protocol") == b"1.9"
    stage.assert_invariants(accepted=1)


def test_another_major_version_is_refused_at_the_start(stage: Scene) -> None:
    stage.raw.hset(stage.keys.meta, "protocol", "2.0")
    stage.client.submit(Job(audio=clip()))
    worker = start_worker(stage.server, stage.keys.queue_id)
    assert worker.wait() == 5
    assert "speaks protocol 2.x" in worker.raw_log
    assert stage.raw.xlen(stage.keys.stream("normal")) == 1
    assert not stage.raw.exists(stage.keys.counters)

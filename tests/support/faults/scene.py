"""The stage of a fault: a queue, somebody who sends to it, and workers that look after it."""

import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import redis

from support.audio.files import clips, wav
from support.servers import Books, assert_invariants, wait_for
from support.workers import DIRECTED, Addressed, Worker, freeze, running_worker
from whisperfleet.client import Admin, Client, JobStatus
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.result import Result
from whisperfleet.contract.states import State
from whisperfleet.demo.server import EmbeddedServer

# Brief, but longer than a busy machine may keep a process waiting.
LEASE_SECONDS = 2.0
BEAT_SECONDS = 0.4
# What a busy machine may add to any of them before a test says that it took too long.
SLACK_SECONDS = 5.0

BRIEF = ("--lease-seconds", str(LEASE_SECONDS), "--beat-seconds", str(BEAT_SECONDS))
# Leases that cannot lapse within a test: whatever comes back has come back otherwise.
PATIENT = ("--lease-seconds", "120", "--beat-seconds", str(BEAT_SECONDS))


@dataclass(frozen=True)
class Scene:
    """One test's queue. Jobs of `gated` end once `open_gate` was called."""

    server: EmbeddedServer
    client: Client
    admin: Admin
    raw: redis.Redis
    keys: Keys
    gate: Path

    def worker(
        self,
        *options: str,
        through: Addressed | None = None,
        program: tuple[str, ...] = DIRECTED,
        environment: Mapping[str, str] | None = None,
    ) -> AbstractContextManager[Worker]:
        """A directed worker without a cache, with brief leases unless the options say otherwise."""
        return running_worker(
            through or self.server,
            self.keys.queue_id,
            *(*BRIEF, "--cache-seconds", "0", *options),
            program=program,
            environment=environment,
        )

    @contextmanager
    def standby(self, *options: str) -> Iterator[Worker]:
        """A worker that is ready and stopped; SIGCONT lets it begin."""
        with self.worker(*options) as worker:
            freeze(worker.process.pid)
            # What it had asked has been answered by then, so it takes nothing that comes later.
            self.raw.ping()
            yield worker
            worker.process.send_signal(signal.SIGCONT)

    def gated(self, job_id: str) -> str:
        """Send a job that takes until the gate is open."""
        return self.client.submit(Job(id=job_id, audio=clip(), prompt=f"gate {self.gate}"))

    def open_gate(self) -> None:
        self.gate.touch()

    def status(self, job_id: str) -> JobStatus:
        status = self.client.status(job_id)
        assert status is not None, f"{job_id} is not known"
        return status

    def last_sign(self, job_id: str) -> float:
        """Return when a job's lease was last renewed, in Unix seconds of the server's clock."""
        told = self.raw.hget(self.keys.job(job_id), "beat")
        assert told, f"{job_id} was never begun"
        return int(told) / 1000

    def wait_until_begun(self, job_ids: Sequence[str], epoch: int = 1) -> None:
        """Return once each of the jobs has been begun so often."""

        def begun(job_id: str) -> bool:
            status = self.client.status(job_id)
            return status is not None and status.epoch >= epoch

        wait_for(lambda: all(map(begun, job_ids)), f"{job_ids} are begun, in epoch {epoch}")
        for job_id in job_ids:
            assert self.status(job_id).epoch == epoch, self.status(job_id).history

    def outlast_lease(self, job_ids: Sequence[str], seconds: float = 1.25 * LEASE_SECONDS) -> None:
        """Return when the leases of the jobs would have lapsed since, had nobody renewed them."""
        ends = time.monotonic() + seconds
        wait_for(lambda: time.monotonic() > ends, f"the leases of {job_ids} to lapse")

    def results(self, job_ids: Sequence[str], seconds: float = 60) -> dict[str, Result]:
        """Return how each of the jobs ended."""
        results = dict(self.client.wait(job_ids, timeout_seconds=seconds))
        assert results.keys() == set(job_ids)
        return results

    def assert_done(self, job_ids: Sequence[str]) -> None:
        """Every job has given the words of its clip."""
        for job_id, result in self.results(job_ids).items():
            assert result.state is State.DONE, (job_id, result.error)
            assert result.transcript is not None
            assert result.transcript.text == clips()[0][1]

    def total(self, name: str) -> int:
        """Return one of the queue's counters."""
        return int(self.raw.hget(self.keys.counters, name) or 0)

    def assert_invariants(self, accepted: int, redriven: int = 0) -> Books:
        return assert_invariants(self.raw, self.keys, accepted, redriven)


def clip() -> bytes:
    """Return a clip of three seconds."""
    return clips()[0][0]


def windows(count: int) -> bytes:
    """Return silence that `--no-vad` makes so many windows of 30 seconds; 17 fit into a message."""
    return wav(np.zeros(count * 30_000, np.int16), rate=1_000)


@contextmanager
def scene(server: EmbeddedServer, queue_id: str, folder: Path) -> Iterator[Scene]:
    """A queue of `server`; `folder` is where the gate is."""
    with (
        Client(server.settings, queue_id) as client,
        Admin(server.settings, queue_id) as admin,
        server.settings.connect() as raw,
    ):
        yield Scene(server, client, admin, raw, Keys(queue_id), folder / "gate")


@contextmanager
def replica_of(primary: Scene) -> Iterator[redis.Redis]:
    """A client of a server that has caught up with the one of `primary`."""
    primary.raw.config_set("repl-diskless-sync-delay", "0")
    with EmbeddedServer(primary.server.binary) as server, server.settings.connect() as client:
        client.replicaof("127.0.0.1", primary.server.port)
        wait_for(
            lambda: client.info("replication")["master_link_status"] == "up", "the replica is up"
        )
        yield client

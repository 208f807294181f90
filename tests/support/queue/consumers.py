"""Consumers of a queue, for tests of the protocol."""

import secrets
from collections.abc import Callable
from dataclasses import replace

from redis.exceptions import NoPermissionError

from support.servers import wait_for
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.result import Result
from whisperfleet.contract.states import State
from whisperfleet.queue import (
    Claim,
    Concluded,
    QueuePolicy,
    RedisSettings,
    Released,
    Settled,
    WorkQueue,
)

# Long leases, so that none lapses by chance, and a look for pending entries with each claim.
PATIENT = QueuePolicy(lease_seconds=60, beat_seconds=0.05, reclaim_seconds=0.001)
# Leases that lapse while a test waits for it.
BRIEF = QueuePolicy(lease_seconds=0.2, beat_seconds=0.01, reclaim_seconds=0.001)

URL = "https://media.example.org/a.wav"

MakeWorker = Callable[..., WorkQueue]


def take(queue: WorkQueue) -> Claim:
    """Claim what must come."""
    found: list[Claim] = []

    def look() -> bool:
        if claim := queue.claim():
            found.append(claim)
        return bool(found)

    wait_for(look, "a job to claim")
    return found[0]


def done(claim: Claim) -> Result:
    """Return a result without words for a claim."""
    return Result(id=claim.job_id, state=State.DONE)


def work_through_everything(
    account: RedisSettings, producing: RedisSettings, queue_id: str
) -> None:
    """Take a worker through all that it ever does, with an account of its own."""
    keys = Keys(queue_id)
    connection = account.connect()
    try:
        connection.ping()
        # What is refused now is not insisted on.
        policy = replace(PATIENT, settle_seconds=0.01)
        worker = WorkQueue(connection, keys, f"worker-{secrets.token_hex(4)}", policy=policy)
        warnings = worker.register("owner")
        if any("INFO" in warning for warning in warnings):
            raise NoPermissionError("no permission for INFO")
        idle = WorkQueue(connection, keys, "idle")
        assert idle.claim() is None
        idle.wait(0.05)
        with Client(producing, queue_id) as producer:
            producer.cancel("cancelled-before")
            producer.submit_many([Job(url=URL), Job(id="cancelled-before", url=URL)])
        claim = take(worker)
        worker.renew([claim])
        connection.get(keys.cache("of-a-transcript"))
        worker.settle(claim, Released())
        claim = take(worker)
        assert worker.settle(claim, Concluded(done(claim))) is Settled.PUBLISHED
        assert worker.claim() is None
        caretaker = WorkQueue(
            connection,
            keys,
            "caretaker",
            policy=QueuePolicy(lease_seconds=0.0021, beat_seconds=0.001),
        )
        worker.release_orphans([])
        wait_for(caretaker.prune, "the worker to be forgotten")
    finally:
        connection.close()

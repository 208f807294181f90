"""Consumers of a queue, for tests of the protocol."""

from collections.abc import Callable

from servers import wait_for
from whisperfleet.contract.result import Result
from whisperfleet.contract.states import State
from whisperfleet.queue import Claim, QueuePolicy, WorkQueue

# Long leases, so that none lapses by chance, and a look for pending entries with each claim.
PATIENT = QueuePolicy(lease_seconds=60, beat_seconds=0.05, reclaim_seconds=0.001)
# Leases that lapse while a test waits for it.
BRIEF = QueuePolicy(lease_seconds=0.2, beat_seconds=0.01, reclaim_seconds=0.001)

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

"""The child that renews leases: `python -m whisperfleet.worker.lease_process`.

It reads the Greeting as one line of JSON from standard input, and with each renewal the shared
table of what the worker holds. On standard output it says, a JSON object a line, ``{"ready":
true}`` once it renews, ``{"standing": {need: trouble}}`` with each renewal, ``{"lease": lease,
"stop": reason}`` when a job must stop and ``{"log": sentence}``. It ends when its input does.
"""

import json
import os
import selectors
import sys
import time
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import redis

from whisperfleet.contract.keys import Keys, Priority
from whisperfleet.queue import Lease, QueuePolicy, RedisSettings, Renewal
from whisperfleet.queue.consumer_leases import ConsumerLeases
from whisperfleet.queue.faults import explain, passes
from whisperfleet.worker.control import Stop
from whisperfleet.worker.lease_table import LeaseTable
from whisperfleet.worker.needs import Need

__all__ = ["Greeting"]

_STOPS = {Renewal.FENCED: Stop.FENCED, Renewal.CANCELLED: Stop.CANCELLED}
# To connect may take half the time between renewals, and to get an answer too.
_TIMEOUT_SHARE = 0.5
# So long a busy server or machine may take, however often a test renews.
_LEAST_TIMEOUT_SECONDS = 1.0
# proc(5), /proc/<pid>/stat: stopped by a signal, stopped by a tracer, zombie, dead.
_NOT_RUNNING = frozenset("TtZX")


@dataclass(frozen=True, slots=True)
class Greeting:
    """What the child must know; sent over a pipe, so no process list shows a password."""

    redis: RedisSettings
    queue_id: str
    consumer: str
    policy: QueuePolicy
    priorities: tuple[Priority, ...]
    tenants: tuple[str, ...]
    stall_seconds: float
    parent: int
    table: int
    slots: int

    def to_line(self) -> str:
        """Return it as one line of JSON."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_line(cls, line: str) -> Self:
        """Read what `to_line` wrote."""
        told: dict[str, Any] = json.loads(line)
        settings = told["redis"]
        if settings["ca_file"]:
            settings["ca_file"] = Path(settings["ca_file"])
        told["redis"] = RedisSettings(**settings)
        told["policy"] = QueuePolicy(**told["policy"])
        told["priorities"] = tuple(Priority(**priority) for priority in told["priorities"])
        told["tenants"] = tuple(told["tenants"])
        return cls(**told)


def connect(greeting: Greeting) -> ConsumerLeases:
    """Return the leases in the queue that a greeting names."""
    # A server that does not answer shall cost one renewal and not the lease.
    timeout = max(_LEAST_TIMEOUT_SECONDS, greeting.policy.beat_seconds * _TIMEOUT_SHARE)
    return ConsumerLeases(
        greeting.redis.connect(timeout),
        Keys(greeting.queue_id),
        greeting.consumer,
        greeting.priorities,
        greeting.policy,
        greeting.tenants,
    )


class Renewer:
    """Renews what it was told to hold, as long as the parent is alive, running and getting on."""

    def __init__(self, greeting: Greeting, leases: ConsumerLeases) -> None:
        self._greeting = greeting
        self._leases = leases
        self._table = LeaseTable(greeting.table, greeting.slots)
        self._seen: tuple[int, dict[Lease, float]] = (-1, {})
        self._changed = time.monotonic()
        self._silent = ""
        self._given_up: set[Lease] = set()

    def renew(self) -> None:
        """Renew every lease whose job has time left, unless the worker does not deserve it."""
        held = self._table.held()
        if (seen := (self._table.steps, held)) != self._seen:
            self._seen = seen
            self._changed = time.monotonic()
        if reason := self._reason_for_silence(held):
            trouble = f"leases are not renewed: {reason}"
            if reason != self._silent:
                _tell({"log": trouble})
            self._silent = reason
            _tell_standing(Need.RENEW, trouble)
            return
        self._silent = ""
        try:
            self._renew(self._in_time(held))
        except redis.RedisError as error:
            trouble = f"leases cannot be renewed: Redis {explain(error)}"
            _tell({"log": trouble})
            _tell_standing(Need.RENEW, trouble)
            return
        _tell_standing(Need.RENEW)
        try:
            self._leases.try_to_publish()
        except redis.RedisError as error:
            # What passes is told of the renewal, with the next: no person is needed.
            if not passes(error):
                _tell_standing(Need.PUBLISH, f"results cannot be published: Redis {explain(error)}")
        else:
            _tell_standing(Need.PUBLISH)

    def _renew(self, deserving: Collection[Lease]) -> None:
        verdicts = self._leases.renew(deserving)
        if deserving:
            self._table.note_renewal()
        for lease, verdict in verdicts.items():
            if stop := _STOPS.get(verdict):
                _tell({"lease": asdict(lease), "stop": stop.value})
        # Read anew: a job that was claimed meanwhile is held too, and what a claim brings is held
        # before the claim is over. Where none is, this is what shows that leases can be renewed.
        claiming_seconds = self._table.claiming_seconds
        self._leases.release_orphans(self._table.held(), claiming_seconds)
        self._table.note_renewal()

    def _in_time(self, held: Mapping[Lease, float]) -> list[Lease]:
        """Return the leases but those of jobs that are stuck: their time was up long ago."""
        grace = self._greeting.stall_seconds
        now = time.monotonic()
        stuck = {lease for lease, ends in held.items() if now > ends + grace}
        for lease in stuck - self._given_up:
            _tell(
                {
                    "log": f"the lease of {lease.job_id} is renewed no more: its time was up "
                    f"{grace:g} s ago and it has not noticed"
                }
            )
        self._given_up = stuck
        return [lease for lease in held if lease not in stuck]

    def _reason_for_silence(self, held: Collection[Lease]) -> str:
        if os.getppid() != self._greeting.parent:
            return "the worker is gone"
        if _state_of(self._greeting.parent) in _NOT_RUNNING:
            return "the worker is stopped"
        stuck = time.monotonic() - self._changed
        if held and stuck > self._greeting.stall_seconds:
            return f"the worker has made no progress for {stuck:.0f} s"
        return ""


def _state_of(pid: int) -> str:
    """Return the one-letter state of a process; R where the system does not tell."""
    try:
        # The name before it is in parentheses and may hold anything.
        return Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return "R"


def _tell_standing(need: Need, trouble: str = "") -> None:
    _tell({"standing": {need.value: trouble}})


def _tell(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)  # noqa: T201 - the protocol's output


def main() -> None:
    """Renew leases until standard input ends."""
    line = sys.stdin.readline()
    if not line:
        # The worker was killed before it could greet.
        return
    greeting = Greeting.from_line(line)
    renewer = Renewer(greeting, connect(greeting))
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin, selectors.EVENT_READ)
    # The connection is there, and the scripts are known, before the first lease needs them.
    renewer.renew()
    next_renewal = time.monotonic() + greeting.policy.beat_seconds
    _tell({"ready": True})
    # Nothing follows the greeting, so what there is to read is the end.
    while not selector.select(max(0.0, next_renewal - time.monotonic())):
        next_renewal = time.monotonic() + greeting.policy.beat_seconds
        renewer.renew()


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        # The worker is gone, and so is everybody who could read why.
        sys.exit(0)

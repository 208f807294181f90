"""What breaks things: which fault strikes when and where is the seed's choice alone."""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any, Final

import redis

from hack.chaos.fleet import Fleet, Worker
from hack.chaos.servers import Pair
from whisperfleet.contract.keys import DEFAULT_PRIORITIES, Keys

__all__ = ["FAULTS", "Monkey"]

# How often each strikes beside the others.
FAULTS: Final = {
    "worker killed": 8,
    "worker frozen": 3,
    "worker and its lease process frozen": 3,
    "worker drained in short notice": 4,
    "lease process killed": 2,
    "connections cut": 3,
    "scripts flushed": 2,
    "server killed": 2,
    "consumer deleted": 2,
    "fail-over": 2,
}

# Longer than a lease, so that another worker has begun the job when the frozen one goes on.
_FROZEN_LEASES: Final = (1.2, 2.5)
_SERVER_DOWN_LEASES: Final = (0.0, 1.5)
# A server that is down is asked again to hand over.
_AGAIN_LEASES: Final = (0.1, 0.2)


class Monkey:
    """Strikes `faults` times, every `gap_seconds` on the average. Call `tick` often.

    Only with faults of `kinds`, which are of FAULTS; `struck` counts them.
    """

    def __init__(
        self,
        servers: Pair,
        keys: Keys,
        fleet: Fleet,
        seed: int,
        kinds: Collection[str],
        faults: int,
        gap_seconds: float,
        lease_seconds: float,
    ) -> None:
        self.struck: Counter[str] = Counter()
        self._servers = servers
        self._keys = keys
        self._fleet = fleet
        self._chance = random.Random(f"monkey {seed}")
        self._left = faults
        self._gap_seconds = gap_seconds
        self._lease_seconds = lease_seconds
        self._next = time.monotonic() + self._gap()
        self._due: list[tuple[float, Callable[[], None]]] = []
        faults_of: dict[str, Callable[[], None]] = {
            "worker killed": lambda: self._strike(self._kill),
            "worker frozen": lambda: self._strike(self._freeze),
            "worker and its lease process frozen": lambda: self._strike(self._freeze_all),
            "worker drained in short notice": lambda: self._strike(self._drain),
            "lease process killed": lambda: self._strike(Worker.kill_children),
            "connections cut": self._cut_connections,
            "scripts flushed": self._flush_scripts,
            "server killed": self._kill_server,
            "consumer deleted": self._delete_consumer,
            "fail-over": self._fail_over,
        }
        self._faults = {name: faults_of[name] for name in FAULTS if name in kinds}

    @property
    def is_done(self) -> bool:
        """Whether every fault has struck and every frozen worker goes on."""
        return not self._left and not self._due

    def tick(self) -> None:
        """Do what is due."""
        now = time.monotonic()
        for moment, action in list(self._due):
            if moment <= now:
                self._due.remove((moment, action))
                action()
        if self._left and now >= self._next:
            weights = [FAULTS[name] for name in self._faults]
            (name,) = self._chance.choices(list(self._faults), weights)
            self._left -= 1
            self.struck[name] += 1
            self._faults[name]()
            self._next = time.monotonic() + self._gap()

    def _gap(self) -> float:
        return self._chance.uniform(0.2, 1.8) * self._gap_seconds

    def _later(self, leases: tuple[float, float], action: Callable[[], None]) -> None:
        pause = self._chance.uniform(*leases) * self._lease_seconds
        self._due.append((time.monotonic() + pause, action))

    def _strike(self, action: Callable[[Worker], None]) -> None:
        place = self._chance.random()
        if up := self._fleet.up():
            action(up[int(place * len(up))])

    def _kill(self, worker: Worker) -> None:
        self._fleet.note_gone(worker)
        worker.process.kill()

    def _freeze(self, worker: Worker) -> None:
        self._fleet.note_gone(worker)
        worker.freeze(with_children=False)
        self._later(_FROZEN_LEASES, worker.thaw)

    def _freeze_all(self, worker: Worker) -> None:
        self._fleet.note_gone(worker)
        worker.freeze(with_children=True)
        self._later(_FROZEN_LEASES, worker.thaw)

    def _drain(self, worker: Worker) -> None:
        worker.process.send_signal(signal.SIGTERM)

    def _kill_server(self) -> None:
        if self._servers.is_down:
            return
        self._servers.kill()
        self._later(_SERVER_DOWN_LEASES, self._servers.start)

    def _fail_over(self) -> None:
        if self._servers.is_down:
            self._later(_AGAIN_LEASES, self._fail_over)
        else:
            self._servers.fail_over()

    def _delete_consumer(self) -> None:
        """As a person would who takes it for one that is gone."""
        stream = self._keys.stream(self._chance.choice(DEFAULT_PRIORITIES).name)
        place = self._chance.random()
        # Nobody has read from the stream yet, or the server is down.
        with (
            self._servers.settings.connect() as client,
            suppress(redis.ConnectionError, redis.ResponseError),
        ):
            consumers: Any = client.xinfo_consumers(stream, self._keys.group)
            if consumers:
                name = consumers[int(place * len(consumers))]["name"]
                client.xgroup_delconsumer(stream, self._keys.group, name)

    def _flush_scripts(self) -> None:
        self._tell("SCRIPT", "FLUSH")

    def _cut_connections(self) -> None:
        self._tell("CLIENT", "KILL", "TYPE", "NORMAL", "SKIPME", "YES")

    def _tell(self, *command: str) -> None:
        # A server that is down has no connections and no scripts.
        with self._servers.settings.connect() as client, suppress(redis.ConnectionError):
            client.execute_command(*command)

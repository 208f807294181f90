"""What breaks things: which fault strikes when and where is the seed's choice alone."""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import redis

from hack.chaos.fleet import Fleet, Worker
from whisperfleet.demo.server import EmbeddedServer

__all__ = ["Monkey"]

# Longer than a lease, so that another worker has begun the job when the frozen one goes on.
_FROZEN_LEASES: Final = (1.2, 2.5)
_SERVER_DOWN_LEASES: Final = (0.0, 1.5)


class Monkey:
    """Strikes `faults` times, every `gap_seconds` on the average. Call `tick` often.

    `struck` counts the faults by kind.
    """

    def __init__(
        self,
        server: EmbeddedServer,
        fleet: Fleet,
        seed: int,
        faults: int,
        gap_seconds: float,
        lease_seconds: float,
    ) -> None:
        self.struck: Counter[str] = Counter()
        self._server = server
        self._fleet = fleet
        self._chance = random.Random(f"monkey {seed}")
        self._left = faults
        self._gap_seconds = gap_seconds
        self._lease_seconds = lease_seconds
        self._next = time.monotonic() + self._gap()
        self._due: list[tuple[float, Callable[[], None]]] = []
        self._faults: dict[str, tuple[int, Callable[[], None]]] = {
            "worker killed": (8, lambda: self._strike(self._kill)),
            "worker frozen": (3, lambda: self._strike(self._freeze)),
            "worker and its lease process frozen": (3, lambda: self._strike(self._freeze_all)),
            "worker drained in short notice": (4, lambda: self._strike(self._drain)),
            "lease process killed": (2, lambda: self._strike(Worker.kill_children)),
            "connections cut": (3, self._cut_connections),
            "scripts flushed": (2, self._flush_scripts),
            "server killed": (2, self._kill_server),
        }

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
            weights = [weight for weight, _ in self._faults.values()]
            (name,) = self._chance.choices(list(self._faults), weights)
            self._left -= 1
            self.struck[name] += 1
            self._faults[name][1]()
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
        self._server.kill()
        self._later(_SERVER_DOWN_LEASES, self._server.start)

    def _flush_scripts(self) -> None:
        self._tell("SCRIPT", "FLUSH")

    def _cut_connections(self) -> None:
        self._tell("CLIENT", "KILL", "TYPE", "NORMAL", "SKIPME", "YES")

    def _tell(self, *command: str) -> None:
        # A server that is down has no connections and no scripts.
        with self._server.settings.connect() as client, suppress(redis.ConnectionError):
            client.execute_command(*command)

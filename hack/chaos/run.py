"""One run: a server, a fleet, a producer and the monkey, until every job has ended."""

import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import redis

from hack.chaos.fleet import Fleet, Leases
from hack.chaos.invariants import Books, check_books
from hack.chaos.monkey import FAULTS, Monkey
from hack.chaos.plan import Cancel, Kind, Mix, Plan, make_plan
from hack.chaos.servers import Pair
from whisperfleet.client import Client
from whisperfleet.contract.keys import DEFAULT_PRIORITIES, Keys
from whisperfleet.contract.states import TERMINAL
from whisperfleet.demo.server import find_server

__all__ = ["Outcome", "Settings", "run_chaos"]

_QUEUE_ID: Final = "chaos"
_TICK_SECONDS: Final = 0.02
_LOOK_SECONDS: Final = 0.25
_AGAIN_SECONDS: Final = 0.05
# The producer sends so much at once; the rest is spread over the time of the faults.
_AT_ONCE: Final = 0.3


@dataclass(frozen=True, slots=True)
class Settings:
    """What a run is made of. The lease is in seconds; the same seed makes the same choices.

    `faults` of `kinds` strike every `gap_seconds` on the average. Every second worker runs the
    command `beside`, where there is one. A run that has not ended after `limit_seconds` is given
    up, and what is left counts as lost.
    """

    jobs: int
    seed: int
    mix: Mix = Mix.FAULTY
    server: str = "valkey"
    workers: int = 3
    beside: tuple[str, ...] = ()
    in_flight: int = 4
    lease_seconds: float = 1.5
    faults: int = 40
    kinds: tuple[str, ...] = tuple(FAULTS)
    gap_seconds: float = 1.0
    limit_seconds: float = 900.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to.

    `recoveries` are seconds from a fault to the next attempt of a job that it struck, `suspensions`
    the same for poison, which waits behind all others.
    """

    books: Books
    faults: Counter[str]
    kinds: Counter[str]
    duplicates: int
    reclaimed: int
    deaths: int
    recoveries: list[float]
    suspensions: list[float]
    seconds: float
    tracebacks: list[str]

    @property
    def runs(self) -> float:
        """How often a job was begun, on the average."""
        return self.books.attempts / max(1, self.books.states.total())

    @property
    def violations(self) -> list[str]:
        """Every way in which the promise was broken; none is what it should be."""
        return [*self.books.violations, *self.tracebacks]


def run_chaos(settings: Settings, logs: Path | None = None) -> Outcome:
    """Run it and look at the books; call it on the main thread.

    The logs of the workers go to `logs`, or away.
    """
    plan = make_plan(settings.jobs, settings.seed, settings.mix)
    with (
        tempfile.TemporaryDirectory(prefix="whisperfleet-chaos-") as folder,
        Pair(find_server((settings.server,))) as servers,
        Client(servers.settings, _QUEUE_ID) as producer,
        Fleet(
            settings.workers,
            servers.settings.url,
            _QUEUE_ID,
            Leases(settings.lease_seconds),
            settings.in_flight,
            logs or Path(folder),
            settings.beside,
        ) as fleet,
    ):
        began = time.monotonic()
        monkey = Monkey(
            servers,
            producer.keys,
            fleet,
            settings.seed,
            settings.kinds,
            settings.faults,
            settings.gap_seconds,
            settings.lease_seconds,
        )
        sender = _Sender(producer, plan, settings.faults * settings.gap_seconds)
        sender.start()
        client = servers.settings.connect()
        try:
            _wait_for_end(settings, plan, fleet, monkey, sender, client, began)
        finally:
            sender.give_up()
        # What is connected to a former primary reads there on.
        client = servers.primary.settings.connect()
        healthy = {id_ for id_, kind in plan.kinds.items() if kind is not Kind.POISON}
        return Outcome(
            books=check_books(client, producer.keys, plan.kinds),
            faults=monkey.struck,
            kinds=Counter(kind.value for kind in plan.kinds.values()),
            duplicates=plan.duplicates,
            reclaimed=int(client.hget(producer.keys.counters, "reclaimed") or 0),
            deaths=fleet.deaths,
            recoveries=_recoveries(client, fleet, healthy),
            suspensions=_recoveries(client, fleet, plan.kinds.keys() - healthy),
            seconds=time.monotonic() - began,
            tracebacks=fleet.tracebacks(),
        )


class _Sender(threading.Thread):
    """The producer. It does the plan's steps in order, each until the server has answered."""

    def __init__(self, client: Client, plan: Plan, seconds: float) -> None:
        super().__init__(name="producer", daemon=True)
        self._client = client
        self._plan = plan
        self._given_up = threading.Event()
        self._at_once = int(_AT_ONCE * len(plan.steps))
        self._pause = seconds / (len(plan.steps) - self._at_once)

    def run(self) -> None:
        for number, step in enumerate(self._plan.steps):
            if isinstance(step, Cancel):
                self._insist(partial(self._client.cancel, step.job_id))
            else:
                self._insist(partial(self._client.submit, step.job, step.priority))
            if self._given_up.wait(self._pause if number >= self._at_once else 0.0):
                return

    def give_up(self) -> None:
        self._given_up.set()
        self.join()

    def _insist(self, action: Callable[[], object]) -> None:
        while not self._given_up.is_set():
            try:
                action()
            except redis.RedisError:
                self._given_up.wait(_AGAIN_SECONDS)
            else:
                return


def _wait_for_end(
    settings: Settings,
    plan: Plan,
    fleet: Fleet,
    monkey: Monkey,
    sender: _Sender,
    client: redis.Redis,
    began: float,
) -> None:
    next_look = 0.0
    while time.monotonic() < began + settings.limit_seconds:
        fleet.replace_dead()
        monkey.tick()
        now = time.monotonic()
        if monkey.is_done and not sender.is_alive() and now >= next_look:
            next_look = now + _LOOK_SECONDS
            if _has_ended(client, len(plan.kinds)):
                return
        time.sleep(_TICK_SECONDS)


def _has_ended(client: redis.Redis, jobs: int) -> bool:
    keys = Keys(_QUEUE_ID)
    try:
        counted = client.hgetall(keys.counters)
        left = sum(client.xlen(keys.stream(priority.name)) for priority in DEFAULT_PRIORITIES)
    except redis.ConnectionError:
        return False
    ended = sum(int(counted.get(state.value.encode(), 0)) for state in TERMINAL)
    return ended >= jobs and left == 0


def _recoveries(client: redis.Redis, fleet: Fleet, job_ids: Iterable[str]) -> list[float]:
    keys = Keys(_QUEUE_ID)
    with client.pipeline(transaction=False) as pipeline:
        for job_id in job_ids:
            pipeline.hget(keys.job(job_id), "history")
        histories: list[Any] = pipeline.execute()
    return [
        seconds
        for history in histories
        if history
        for seconds in fleet.lost_seconds(history.decode())
    ]

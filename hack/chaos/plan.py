"""What is sent to the queue under fire, and how each job may end. Every choice is the seed's."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import DEFAULT_PRIORITIES
from whisperfleet.contract.states import State

__all__ = ["ENDS", "Cancel", "Kind", "Mix", "Plan", "Submit", "make_plan"]


class Kind(StrEnum):
    """What becomes of a job if the queue keeps its promise; see ENDS."""

    HEALTHY = "healthy"
    POISON = "poison"
    BAD_INPUT = "bad input"
    TRANSIENT = "transient failure"
    CANCELLED = "cancelled"
    LATE = "deadline passed"
    CONFLICT = "id conflict"


# A cancel may come too late. Of two payloads under one id the first to be begun is done; the other
# fails under an id of the queue's making.
ENDS: Final = {
    Kind.HEALTHY: frozenset({State.DONE}),
    Kind.POISON: frozenset({State.DEAD}),
    Kind.BAD_INPUT: frozenset({State.FAILED}),
    Kind.TRANSIENT: frozenset({State.DONE}),
    Kind.CANCELLED: frozenset({State.DONE, State.CANCELLED}),
    Kind.LATE: frozenset({State.EXPIRED}),
    Kind.CONFLICT: frozenset({State.DONE}),
}


class Mix(StrEnum):
    """FAULTY: some of every kind, with work to do. HEALTHY: the same without what is wrong.

    SMALL: healthy jobs that take no time.
    """

    FAULTY = "faulty"
    HEALTHY = "healthy"
    SMALL = "small"


@dataclass(frozen=True, slots=True)
class Submit:
    """Send a job; again if the server does not answer."""

    job: Job
    priority: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel a job that was sent before, wherever it is by now."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What the producer does, in order, and what each of its ids is."""

    steps: tuple[Submit | Cancel, ...]
    kinds: dict[str, Kind]

    @property
    def duplicates(self) -> int:
        """How many submissions repeat an earlier one."""
        sent = [step.job for step in self.steps if isinstance(step, Submit)]
        return len(sent) - len({job.model_dump_json() for job in sent})


_SHARES: Final = {
    Mix.FAULTY: {
        Kind.POISON: 0.02,
        Kind.BAD_INPUT: 0.03,
        Kind.TRANSIENT: 0.05,
        Kind.CANCELLED: 0.03,
        Kind.LATE: 0.02,
        Kind.CONFLICT: 0.01,
    },
    Mix.HEALTHY: {},
    Mix.SMALL: {},
}
_DUPLICATE_SHARE: Final = 0.10
# How much later than the first a second submission or a cancel comes, in steps.
_LATER_STEPS: Final = 60
_MEAN_SECONDS: Final = 0.02
_LONG_SHARE: Final = 0.01
_LONG_SECONDS: Final = (2.0, 5.0)
_LONG_AGO: Final = datetime(2020, 1, 1, tzinfo=UTC)
_TENANTS: Final = ("acme", "globex", None)


def make_plan(jobs: int, seed: int, mix: Mix) -> Plan:
    """Return the same plan for the same arguments.

    The counts by kind are exact, at least one of each that the mix has.
    """
    chance, tenants = random.Random(f"plan {seed}"), random.Random(f"tenants {seed}")
    kinds = [
        kind for kind, share in _SHARES[mix].items() for _ in range(max(1, round(share * jobs)))
    ]
    kinds += [Kind.HEALTHY] * (jobs - len(kinds))
    chance.shuffle(kinds)
    seconds = _no_seconds if mix is Mix.SMALL else lambda: _draw_seconds(chance)
    # A place in the order for each step: what comes later sorts later.
    placed: list[tuple[float, Submit | Cancel]] = []
    names: dict[str, Kind] = {}
    for number, kind in enumerate(kinds):
        job_id = f"job-{number}"
        names[job_id] = kind
        job = _make_job(job_id, kind, chance, seconds)
        if tenant := tenants.choice(_TENANTS):
            job = job.model_copy(update={"tenant": tenant})
        submit = Submit(job, _draw_priority(chance))
        placed.append((number, submit))
        later = number + chance.uniform(0, _LATER_STEPS)
        if kind is Kind.CANCELLED:
            placed.append((later, Cancel(job_id)))
        elif kind is Kind.CONFLICT:
            other = submit.job.model_copy(update={"prompt": "another payload"})
            placed.append((later, Submit(other, _draw_priority(chance))))
        elif chance.random() < _DUPLICATE_SHARE:
            placed.append((later, Submit(submit.job, _draw_priority(chance))))
    placed.sort(key=lambda pair: pair[0])
    return Plan(tuple(step for _, step in placed), names)


def _make_job(job_id: str, kind: Kind, chance: random.Random, seconds: Callable[[], float]) -> Job:
    more: dict[str, Any] = {}
    unchecked: dict[str, Any] = {}
    orders: dict[str, Any] = {}
    if takes := seconds():
        orders["seconds"] = takes
    match kind:
        case Kind.POISON:
            orders["poison"] = chance.choice(("SIGKILL", "SIGSEGV"))
        case Kind.BAD_INPUT:
            # What a client that checks nothing sends.
            unchecked["language"] = "klingon"
        case Kind.TRANSIENT:
            orders["transient"] = chance.choice((1, 1, 2))
        case Kind.LATE:
            more["deadline"] = _LONG_AGO
    job = Job(id=job_id, url="https://media.example.org/call.wav", metadata=orders, **more)
    return job.model_copy(update=unchecked)


def _draw_priority(chance: random.Random) -> str:
    return chance.choice(DEFAULT_PRIORITIES).name


def _no_seconds() -> float:
    return 0.0


def _draw_seconds(chance: random.Random) -> float:
    if chance.random() < _LONG_SHARE:
        return round(chance.uniform(*_LONG_SECONDS), 3)
    return round(chance.expovariate(1 / _MEAN_SECONDS), 3)

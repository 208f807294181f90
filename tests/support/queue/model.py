"""The queue as its documents have it, in plain Python: one stream, time where it is said."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from whisperfleet.contract.states import TERMINAL, State
from whisperfleet.contract.usage import Usage
from whisperfleet.queue import Claim, QueuePolicy

__all__ = ["POLICY", "Entry", "Model", "Record", "order_of"]

# Leases outlast any history, every claim looks for old ones, and the budgets are used up quickly.
POLICY = QueuePolicy(
    lease_seconds=600,
    beat_seconds=0.0001,
    reclaim_seconds=1e-9,
    max_deliveries=2,
    max_releases=1,
    max_retries=1,
)


@dataclass
class Entry:
    """An entry of the stream, or what is left of it in the pending list."""

    job_id: str
    payload: str
    tenant: str = ""
    exists: bool = True
    # For whom it is pending.
    owner: int | None = None
    is_old: bool = False
    deliveries: int = 0

    @property
    def is_pending(self) -> bool:
        return self.owner is not None


@dataclass
class Record:
    """What is known of a job. `is_renewed` is whether its attempt was heard of within a lease."""

    state: State | None = None
    epoch: int = 0
    entry: str = ""
    payload: str = ""
    tenant: str = ""
    owner: int = 0
    is_renewed: bool = False
    deliveries: int = 0
    cancel: bool = False
    # Who asked for it before it came: tenants, or "" for an operator.
    cancellers: frozenset[str] = frozenset()
    releases: int = 0
    retries: int = 0


@dataclass
class Model:
    """The queue as its documents have it."""

    entries: dict[str, Entry] = field(default_factory=dict)
    jobs: dict[str, Record] = field(default_factory=dict)
    ends: list[tuple[str, State, int]] = field(default_factory=list)
    letters: list[str] = field(default_factory=list)
    # Jobs of which a person deleted both the entry and what was pending.
    vanished: set[str] = field(default_factory=set)
    # Jobs whose entry vanished before their letter was written: nobody knows what they were.
    hollow: set[str] = field(default_factory=set)
    # Of each tenant: jobs that ended, their attempts, and what the test says that they used.
    usage: Counter[str] = field(default_factory=Counter)
    # The consumer group, which the first claim makes, and up to where it has delivered.
    has_group: bool = False
    last: tuple[int, ...] = (0, 0)

    def record(self, job_id: str) -> Record:
        return self.jobs.setdefault(job_id, Record())

    def owns(self, claim: Claim) -> bool:
        return self.record(claim.job_id).state is State.RUNNING and self.is_newest(claim)

    def is_newest(self, claim: Claim) -> bool:
        job = self.record(claim.job_id)
        return (job.epoch, job.entry) == (claim.epoch, claim.entry_id)

    def claim(self, consumer: int) -> tuple[str, int, int] | None:
        """Return the job, epoch and delivery count of the next claim that is to be worked on."""
        for entry_id in sorted(self._old(), key=self._rank):
            if not (entry := self.entries.get(entry_id)):
                continue
            if not entry.exists:
                self._lose(entry_id, entry)
            elif begun := self._begin(consumer, entry_id, entry):
                return begun
        for entry_id in self._strays():
            if entry_id in self.entries and (begun := self._receive(consumer, entry_id)):
                return begun
        self.make_group()
        while following := self._next():
            entry_id, entry = following, self.entries[following]
            self.last = order_of(entry_id)
            entry.owner, entry.is_old, entry.deliveries = consumer, False, 1
            if begun := self._receive(consumer, entry_id):
                return begun
        return None

    def make_group(self) -> None:
        if not self.has_group:
            self.has_group, self.last = True, (0, 0)

    def _old(self) -> list[str]:
        return [e for e, entry in self.entries.items() if entry.is_pending and entry.is_old]

    def _strays(self) -> list[str]:
        """What a person made pending for nobody."""
        strays = [
            entry_id
            for entry_id, entry in self.entries.items()
            if self.has_group and not entry.is_pending and order_of(entry_id) <= self.last
        ]
        return sorted(strays, key=order_of)

    def _next(self) -> str | None:
        """What the group delivers next: also what is pending, where a person set it back."""
        undelivered = [e for e, entry in self.entries.items() if entry.exists]
        return min((e for e in undelivered if order_of(e) > self.last), key=order_of, default=None)

    def _receive(self, consumer: int, entry_id: str) -> tuple[str, int, int] | None:
        """Begin a job unless a worker that is heard of has it, for whom it is pending then."""
        entry, job = self.entries[entry_id], self.record(self.entries[entry_id].job_id)
        runs = job.state is State.RUNNING and job.entry == entry_id
        entry.deliveries = job.deliveries if runs else 0
        if runs and job.is_renewed:
            entry.owner, entry.is_old = job.owner, False
            return None
        return self._begin(consumer, entry_id, entry)

    def _rank(self, entry_id: str) -> tuple[int, ...]:
        return (self.entries[entry_id].deliveries, *order_of(entry_id))

    def _lose(self, entry_id: str, entry: Entry) -> None:
        job = self.record(entry.job_id)
        if job.state in {State.QUEUED, State.RUNNING} and job.entry == entry_id:
            if job.state is State.RUNNING and job.is_renewed:
                return
            job.epoch += 1
            self.end(entry.job_id, State.DEAD)
            self.hollow.add(entry.job_id)
        else:
            del self.entries[entry_id]

    def _begin(self, consumer: int, entry_id: str, entry: Entry) -> tuple[str, int, int] | None:
        entry.owner, entry.is_old = consumer, False
        entry.deliveries += 1
        job = self.record(entry.job_id)
        if job.state and job.entry != entry_id:
            if (job.payload, job.tenant) != (entry.payload, entry.tenant):
                self.jobs[f"normal-{entry_id}"] = Record(
                    epoch=1, entry=entry_id, tenant=entry.tenant
                )
                self.end(f"normal-{entry_id}", State.FAILED)
                return None
            home = self.entries.get(job.entry)
            if job.state in TERMINAL or (home and home.exists):
                del self.entries[entry_id]
                return None
            self.entries.pop(job.entry, None)
        if job.cancellers:
            job.cancel = not job.cancellers.isdisjoint(("", entry.tenant))
            job.cancellers = frozenset()
        job.state, job.entry = State.RUNNING, entry_id
        job.payload, job.tenant = entry.payload, entry.tenant
        job.owner, job.is_renewed, job.deliveries = consumer, True, entry.deliveries
        job.epoch += 1
        if job.cancel:
            self.end(entry.job_id, State.CANCELLED)
        elif entry.deliveries > POLICY.max_deliveries:
            self.end(entry.job_id, State.DEAD)
        else:
            return entry.job_id, job.epoch, entry.deliveries
        return None

    def purge(self) -> int:
        """Cancel whatever waits, mark what runs, and return how many waited."""
        waited = 0
        for entry_id in sorted(self.entries, key=order_of):
            entry = self.entries.get(entry_id)
            if entry and entry.exists:
                waited += self._purge(entry_id, entry)
        return waited

    def _purge(self, entry_id: str, entry: Entry) -> bool:
        job_id, job = entry.job_id, self.record(entry.job_id)
        if job.state is None:
            job.entry, job.payload, job.tenant = entry_id, entry.payload, entry.tenant
            self.end(job_id, State.CANCELLED, begun=False)
            return True
        if job.entry != entry_id and (job.payload, job.tenant) != (entry.payload, entry.tenant):
            self.jobs[f"normal-{entry_id}"] = Record(entry=entry_id, tenant=entry.tenant)
            self.end(f"normal-{entry_id}", State.CANCELLED, begun=False)
            return True
        home = self.entries.get(job.entry)
        if job.state is State.QUEUED:
            job.epoch += 1
            self.end(job_id, State.CANCELLED, begun=False)
            self.entries.pop(entry_id, None)
            return True
        if job.entry != entry_id and (job.state in TERMINAL or (home and home.exists)):
            del self.entries[entry_id]
        if job.state is State.RUNNING:
            job.cancel = True
        return False

    def orphans(self, consumer: int, held: set[str]) -> list[Record]:
        """Return the jobs that run in a consumer's name without its knowledge."""
        return [
            job
            for job in self.jobs.values()
            if job.state is State.RUNNING
            and job.owner == consumer
            and job.entry not in held
            and self.exists(job.entry)
            and self.entries[job.entry].owner == consumer
        ]

    def exists(self, entry_id: str) -> bool:
        return entry_id in self.entries and self.entries[entry_id].exists

    def hand_back(self, job: Record, *, forgiven: bool = True, delayed: bool = False) -> None:
        self.make_group()
        entry = self.entries[job.entry]
        before = entry.deliveries if entry.is_pending else job.deliveries
        entry.owner, entry.deliveries = job.owner, before - forgiven
        entry.is_old = not delayed
        job.state = State.QUEUED

    def forget(self, entry_ids: Iterable[str]) -> None:
        """A person makes entries pending for nobody: nothing tells any more of one that is gone.

        Whoever waits for its job learns that it vanished, unless an attempt still ends it.
        """
        for entry_id in entry_ids:
            entry = self.entries[entry_id]
            entry.owner, entry.is_old = None, False
            if not entry.exists:
                self.vanished.add(entry.job_id)
                del self.entries[entry_id]

    def end(
        self, job_id: str, state: State, usage: Usage | None = None, *, begun: bool = True
    ) -> None:
        """Publish an end: by the newest attempt or, not `begun`, by a cancel while it waits."""
        job = self.record(job_id)
        job.state = state
        used = usage or Usage()
        self.usage.update(
            {
                f"normal/{job.tenant}/{figure}": amount
                for figure, amount in {
                    "jobs": 1,
                    "attempts": job.epoch if begun else max(0, job.epoch - 1),
                    "windows": used.windows,
                    "device_ms": round(used.device_seconds * 1000),
                    "cached": int(used.cached),
                }.items()
                if amount
            }
        )
        self.ends.append((job_id, state, job.epoch))
        self.entries.pop(job.entry, None)
        if state is State.DEAD:
            self.letters.append(job_id)


def order_of(entry_id: str) -> tuple[int, ...]:
    return tuple(int(part) for part in entry_id.split("-"))

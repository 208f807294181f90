"""The queue against a model of it in plain Python, over random histories.

One stream and one thread, so that the model can say exactly what each call answers. Time passes
only where a rule says so: `expire` makes a lease old, nothing waits.
"""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from support.queue.model import POLICY, Entry, Model, Record, order_of
from support.queue.server_clock import deliver_later
from whisperfleet.client import Admin, Cancelled, Client, Redriven
from whisperfleet.contract.codes import Code
from whisperfleet.contract.events import DoneEvent
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Keys, Priority
from whisperfleet.contract.result import Result
from whisperfleet.contract.states import TERMINAL, State
from whisperfleet.contract.usage import Usage
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.errors import TransientError
from whisperfleet.queue import (
    Buried,
    Claim,
    Concluded,
    Released,
    Renewal,
    Retried,
    Settled,
    WorkQueue,
)
from whisperfleet.queue.outcomes import SUSPECT

PRIORITIES = (Priority("normal", 1),)
OLD_MS = 600_001
HOUR_MS = 3_600_000
IDS = ("a", "b", "c", "d")
# Mostly an attempt that still has its job; else any there was.
Which = tuple[bool, int]
WHICH = st.tuples(st.sampled_from((True, True, True, False)), st.integers(0, 30))
# Two of three times nobody in particular.
TENANTS = st.sampled_from(("", "", "acme"))
DEEDS = (
    *("delconsumer", "ack", "set back", "set forward"),
    *("destroy", "make anew before", "make anew behind"),
)
FAILURE = TransientError(Code.FETCH_FAILED, "the source did not answer")

RANDOM = os.environ.get("RANDOM_HISTORIES") == "1"

queue_numbers = count(1)


@dataclass(frozen=True, eq=False)
class Attempt:
    """A claim and who made it; it is kept when it is over, to be tried again."""

    consumer: int
    claim: Claim


class QueueMachine(RuleBasedStateMachine):
    """Each rule does the same to the queue and to the model, and compares the answers."""

    consumers = st.integers(0, 2)

    def __init__(self, server: EmbeddedServer) -> None:
        super().__init__()
        self.keys = Keys(f"machine.{next(queue_numbers)}")
        self.redis = server.settings.connect()
        self.client = Client(server.settings, self.keys.queue_id, priorities=PRIORITIES)
        self.admin = Admin(server.settings, self.keys.queue_id, priorities=PRIORITIES)
        self.acme = Client(
            server.settings, self.keys.queue_id, priorities=PRIORITIES, tenant="acme"
        )
        self.workers = [
            WorkQueue(self.redis, self.keys, f"worker-{n}", PRIORITIES, POLICY) for n in range(3)
        ]
        self.stream = self.keys.stream("normal")
        self.model = Model()
        # All attempts there were, and those that their workers know of.
        self.made: list[Attempt] = []
        self.queue_made: list[str] = []
        self.known: list[Attempt] = []

    def _pick(self, which: Which) -> Attempt:
        of_the_living, number = which
        living = [attempt for attempt in self.known if self.model.owns(attempt.claim)]
        pool = living if of_the_living and living else self.known
        return pool[number % len(pool)]

    @initialize()
    def begin_with_work(self) -> None:
        for job_id in IDS:
            self.submit(job_id, "", "")

    @rule(
        job_id=st.sampled_from((*IDS, None)),
        payload=st.sampled_from(("", "", "", "other")),
        tenant=TENANTS,
    )
    def submit(self, job_id: str | None, payload: str, tenant: str) -> None:
        """A new job, a duplicate or a conflict, as it falls."""
        job = Job(
            id=job_id,
            url="https://media.example.org/a.wav",
            prompt=payload or None,
            tenant=tenant or None,
        )
        before = {entry for entry, _ in self.redis.xrange(self.stream)}
        given = self.client.submit(job)
        (new,) = {entry for entry, _ in self.redis.xrange(self.stream)} - before
        self.model.entries[new.decode()] = Entry(given, payload, tenant)
        if job_id is None:
            self.queue_made.append(given)

    @rule(consumer=consumers)
    def claim(self, consumer: int) -> None:
        self._claim(consumer)

    def _claim(self, consumer: int) -> Attempt | None:
        expected = self.model.claim(consumer)
        claim = self.workers[consumer].claim()
        if claim is None:
            assert expected is None
            return None
        assert (claim.job_id, claim.epoch, claim.deliveries) == expected
        attempt = Attempt(consumer, claim)
        self.made.append(attempt)
        self.known.append(attempt)
        return attempt

    @precondition(lambda self: self.known)
    @rule(which=WHICH, state=st.sampled_from((State.DONE, State.FAILED, State.EXPIRED)))
    def finish(self, which: Which, state: State) -> None:
        """What is finished twice, or by somebody who has lost the job, changes nothing."""
        self._finish(self._pick(which), state)

    def _finish(self, attempt: Attempt, state: State) -> None:
        claim, job = attempt.claim, self.model.record(attempt.claim.job_id)
        usage = Usage(windows=claim.epoch, device_seconds=0.25, cached=state is State.EXPIRED)
        answer = self.workers[attempt.consumer].settle(
            claim, Concluded(Result(id=claim.job_id, state=state, usage=usage))
        )
        if self.model.owns(claim):
            assert answer is Settled.PUBLISHED
            self.model.end(claim.job_id, state, usage)
        elif self.model.is_newest(claim) and job.state in TERMINAL:
            assert answer is Settled.ALREADY
        else:
            assert answer is Settled.FENCED

    @precondition(lambda self: self.known)
    @rule(which=WHICH)
    def bury(self, which: Which) -> None:
        attempt = self._pick(which)
        owned = self.model.owns(attempt.claim)
        answer = self.workers[attempt.consumer].settle(
            attempt.claim, Buried(Code.INTERNAL, "it is odd")
        )
        assert (answer is Settled.PUBLISHED) == owned
        if owned:
            self.model.end(attempt.claim.job_id, State.DEAD)

    @precondition(lambda self: self.known)
    @rule(which=WHICH)
    def renew(self, which: Which) -> None:
        attempt = self._pick(which)
        claim, job = attempt.claim, self.model.record(attempt.claim.job_id)
        (answer,) = self.workers[attempt.consumer].renew([claim]).values()
        if not self.model.owns(claim):
            assert answer is Renewal.FENCED
            return
        assert answer is (Renewal.CANCELLED if job.cancel else Renewal.OK)
        job.is_renewed = True
        if self.model.has_group and self.model.exists(job.entry):
            entry = self.model.entries[job.entry]
            entry.owner, entry.is_old, entry.deliveries = job.owner, False, job.deliveries

    @precondition(lambda self: self.known)
    @rule(which=WHICH)
    def release(self, which: Which) -> None:
        attempt = self._pick(which)
        answer = self.workers[attempt.consumer].settle(attempt.claim, Released())
        self._handed_back(attempt.claim, answer, "releases", POLICY.max_releases)

    @precondition(lambda self: self.known)
    @rule(which=WHICH)
    def release_suspect(self, which: Which) -> None:
        attempt = self._pick(which)
        answer = self.workers[attempt.consumer].settle(attempt.claim, SUSPECT)
        cap = POLICY.max_releases
        self._handed_back(attempt.claim, answer, "releases", cap, forgiven=False)

    @precondition(lambda self: self.known)
    @rule(which=WHICH, delay=st.sampled_from((0.0, 300.0)))
    def retry(self, which: Which, delay: float) -> None:
        attempt = self._pick(which)
        answer = self.workers[attempt.consumer].settle(attempt.claim, Retried(FAILURE, delay))
        self._handed_back(attempt.claim, answer, "retries", POLICY.max_retries, delayed=bool(delay))

    def _delayed(self) -> list[tuple[str, Entry]]:
        return [
            (entry_id, entry)
            for entry_id, entry in self.model.entries.items()
            if entry.is_pending
            and not entry.is_old
            and self.model.record(entry.job_id).state is State.QUEUED
            and self.model.record(entry.job_id).entry == entry_id
        ]

    @precondition(lambda self: self._delayed())
    @rule()
    def delays_pass(self) -> None:
        """The jobs that were to be tried again later can be."""
        for entry_id, entry in self._delayed():
            self._make_old(entry_id, entry)

    def _make_old(self, entry_id: str, entry: Entry) -> None:
        owner = f"worker-{entry.owner}"
        self.redis.xclaim(
            self.stream, self.keys.group, owner, 0, [entry_id], idle=OLD_MS, justid=True
        )
        entry.is_old = True

    def _handed_back(
        self,
        claim: Claim,
        answer: Settled,
        counted: str,
        cap: int,
        *,
        forgiven: bool = True,
        delayed: bool = False,
    ) -> None:
        job = self.model.record(claim.job_id)
        if not self.model.owns(claim):
            assert answer is Settled.FENCED
        elif getattr(job, counted) >= cap:
            assert answer is Settled.EXHAUSTED
            self.model.end(claim.job_id, State.DEAD)
        elif not self.model.exists(job.entry):
            assert answer is Settled.LOST
            self.model.end(claim.job_id, State.DEAD)
        else:
            assert answer is Settled.RELEASED
            setattr(job, counted, getattr(job, counted) + 1)
            self.model.hand_back(job, forgiven=forgiven, delayed=delayed)

    @rule(job_id=st.sampled_from(IDS), canceller=TENANTS)
    def cancel(self, job_id: str, canceller: str) -> None:
        job = self.model.record(job_id)
        answer = (self.acme if canceller else self.client).cancel(job_id)
        if job.state is None:
            assert answer is Cancelled.NOTED
            job.cancellers |= {canceller}
            return
        self._cancelled(job_id, job, canceller, answer)

    @precondition(lambda self: self.queue_made)
    @rule(choice=st.integers(0, 10), canceller=TENANTS)
    def cancel_by_the_queues_id(self, choice: int, canceller: str) -> None:
        """Where such a job is can be told although nobody has begun it."""
        job_id = self.queue_made[choice % len(self.queue_made)]
        job = self.model.record(job_id)
        answer = (self.acme if canceller else self.client).cancel(job_id)
        if job.state is None:
            entry_id = job_id.removeprefix("normal-")
            job.tenant = self.model.entries[entry_id].tenant
            if not canceller or canceller == job.tenant:
                assert answer is Cancelled.CANCELLED
                job.entry = entry_id
                self.model.end(job_id, State.CANCELLED, begun=False)
                return
        self._cancelled(job_id, job, canceller, answer)

    def _cancelled(self, job_id: str, job: Record, canceller: str, answer: Cancelled) -> None:
        if canceller and canceller != job.tenant:
            assert answer is Cancelled.UNKNOWN
        elif job.state in TERMINAL:
            assert answer is Cancelled.ENDED
        elif job.state is State.QUEUED:
            assert answer is Cancelled.CANCELLED
            job.epoch += 1
            self.model.end(job_id, State.CANCELLED, begun=False)
        else:
            assert answer is Cancelled.RUNNING
            job.cancel = True

    @rule(really=st.sampled_from((True, False, False, False)))
    def purge(self, really: bool) -> None:
        """Seldom, for it ends most of what the other rules need."""
        if not really:
            return
        assert self.admin.purge() == self.model.purge()

    @precondition(lambda self: self.model.letters)
    @rule(choice=st.integers(0, 10))
    def redrive(self, choice: int) -> None:
        """A letter is good for one run, if it holds the job."""
        letters = list(self.admin.dead_letters())
        assert [letter.id for _, letter in letters] == self.model.letters
        letter_id, letter = letters[choice % len(letters)]
        if letter.id in self.model.hollow:
            assert self.admin.redrive(letter_id) is Redriven.EMPTY
            return
        assert self.admin.redrive(letter_id) is Redriven.REDRIVEN
        assert self.admin.redrive(letter_id) is Redriven.UNKNOWN
        self.model.letters.remove(letter.id)
        job = self.model.record(letter.id)
        ((newest, _),) = self.redis.xrevrange(self.stream, count=1)
        job.entry = newest.decode()
        self.model.entries[job.entry] = Entry(letter.id, job.payload, job.tenant)
        job.state, job.cancel, job.releases, job.retries = State.QUEUED, False, 0, 0

    @precondition(lambda self: self.known)
    @rule(which=WHICH)
    def expire(self, which: Which) -> None:
        """The worker has not been heard of for longer than a lease."""
        self._expire(self._pick(which))

    def _expire(self, attempt: Attempt) -> None:
        job = self.model.record(attempt.claim.job_id)
        entry = self.model.entries.get(job.entry)
        if self.model.owns(attempt.claim) and entry and entry.exists:
            if entry.is_pending:
                self._make_old(job.entry, entry)
            self.redis.hset(self.keys.job(attempt.claim.job_id), "beat", 0)
            job.is_renewed = False

    @precondition(lambda self: self.known)
    @rule(which=WHICH, consumer=consumers)
    def take_over(self, which: Which, consumer: int) -> None:
        """A lease lapses and whoever claims next begins the job anew; the old worker lives on."""
        self._expire(self._pick(which))
        self.claim(consumer)

    @precondition(lambda self: self.known)
    @rule(which=WHICH)
    def delete_entry(self, which: Which) -> None:
        """Somebody deletes an entry under its worker, or one that waits after a release."""
        attempt = self._pick(which)
        job = self.model.record(attempt.claim.job_id)
        entry = self.model.entries.get(job.entry)
        # What cannot be made old any more would wait for its delay for real.
        if (
            entry
            and entry.exists
            and entry.is_pending
            and job.state not in TERMINAL
            and (job.entry, entry) not in self._delayed()
        ):
            self.redis.xdel(self.stream, job.entry)
            entry.exists = False

    @precondition(lambda self: self.known)
    @rule(which=WHICH)
    def lose_reply(self, which: Which) -> None:
        """The worker never learnt of its claim; its next search for orphans hands it back."""
        attempt = self._pick(which)
        self.known.remove(attempt)
        held = [known.claim for known in self.known if known.consumer == attempt.consumer]
        orphans = self.model.orphans(attempt.consumer, {claim.entry_id for claim in held})
        assert self.workers[attempt.consumer].release_orphans(held) == len(orphans)
        for job in orphans:
            forgiven = job.releases < POLICY.max_releases
            job.releases += 1
            self.model.hand_back(job, forgiven=forgiven)

    def _pending(self) -> list[str]:
        return [e for e, entry in self.model.entries.items() if entry.is_pending]

    @rule(consumer=consumers, choice=st.integers(0, 30), deed=st.sampled_from(DEEDS))
    def meddle(self, consumer: int, choice: int, deed: str) -> None:
        """A person does something to the consumer group by hand."""
        group, pending = (self.stream, self.keys.group), self._pending()
        if not self.model.has_group:
            return
        match deed:
            case "delconsumer":
                self.redis.xgroup_delconsumer(*group, f"worker-{consumer}")
                self.model.forget(e for e in pending if self.model.entries[e].owner == consumer)
            case "ack" if pending:
                entry_id = pending[choice % len(pending)]
                self.redis.xack(*group, entry_id)
                self.model.forget([entry_id])
            case "set back" | "set forward":
                self._set_group(deed, self.redis.xgroup_setid)
            case "destroy" | "make anew before" | "make anew behind":
                self.redis.xgroup_destroy(*group)
                self.model.forget(pending)
                self.model.has_group = False
                if deed != "destroy":
                    self._set_group(deed, self.redis.xgroup_create)
                    self.model.has_group = True

    def _set_group(self, deed: str, command: Callable[..., object]) -> None:
        is_end = deed in {"set forward", "make anew behind"}
        command(self.stream, self.keys.group, "$" if is_end else "0")
        last = self.redis.xinfo_stream(self.stream)["last-generated-id"].decode()
        self.model.last = order_of(last) if is_end else (0, 0)

    @precondition(lambda self: self._pending())
    @rule(choice=st.integers(0, 30))
    def clock_goes_back(self, choice: int) -> None:
        """An entry and its job bear a time that the server's clock has yet to come to."""
        entry_id = self._pending()[choice % len(self._pending())]
        entry = self.model.entries[entry_id]
        job = self.model.record(entry.job_id)
        if entry.exists and job.entry == entry_id:
            # In its own time it is not old.
            owner = f"worker-{entry.owner}"
            self.redis.xclaim(self.stream, self.keys.group, owner, 0, [entry_id], justid=True)
            deliver_later(self.redis, self.stream, entry_id, HOUR_MS)
            later = (self.redis.time()[0] + 3600) * 1000
            self.redis.hset(self.keys.job(entry.job_id), "beat", later)
            entry.is_old, job.is_renewed = False, True

    @invariant()
    def the_stream_is_what_waits_and_runs(self) -> None:
        existing = {entry_id for entry_id, entry in self.model.entries.items() if entry.exists}
        assert {entry.decode() for entry, _ in self.redis.xrange(self.stream)} == existing
        assert self.redis.xlen(self.stream) == len(existing)

    @invariant()
    def what_is_pending_is_held_or_old(self) -> None:
        if not self.model.has_group:
            return
        pending = self.redis.xpending_range(self.stream, self.keys.group, "-", "+", 100)
        assert {
            (facts["message_id"].decode(), facts["consumer"].decode(), facts["times_delivered"])
            for facts in pending
        } == {
            (entry_id, f"worker-{entry.owner}", entry.deliveries)
            for entry_id, entry in self.model.entries.items()
            if entry.is_pending
        }

    @invariant()
    def every_end_is_told_once(self) -> None:
        events = [DoneEvent.from_fields(fields) for _, fields in self.redis.xrange(self.keys.done)]
        assert [(event.id, event.state, event.epoch) for event in events] == self.model.ends
        attempts = Counter((event.id, event.epoch) for event in events if event.epoch)
        assert all(times == 1 for times in attempts.values())

    @invariant()
    def usage_is_summed_once_for_each_end(self) -> None:
        sums = {name.decode(): int(n) for name, n in self.redis.hgetall(self.keys.usage).items()}
        tenants = {name for name in sums if name.endswith("/jobs")}
        assert sums.pop("tenants", 0) == len(tenants)
        # How long jobs waited is the server's to know.
        assert self.model.usage == {n: s for n, s in sums.items() if not n.endswith("/queue_ms")}

    @invariant()
    def records_and_results_agree(self) -> None:
        for job_id, job in self.model.jobs.items():
            state, epoch = self.redis.hmget(self.keys.job(job_id), "state", "epoch")
            assert (state and state.decode()) == job.state
            assert int(epoch or 0) == job.epoch
            result = self.client.result(job_id)
            assert (result.state if result else None) == (
                job.state if job.state in TERMINAL else None
            )

    def teardown(self) -> None:
        """Whatever the history was, everything ends and nothing is left."""
        try:
            self._drain()
            self._check_nothing_is_left()
        finally:
            self.client.close()
            self.admin.close()
            self.acme.close()
            self.redis.close()

    def _drain(self) -> None:
        self.delays_pass()
        for attempt in self.made:
            self._finish(attempt, State.DONE)
        while attempt := self._claim(0):
            self._finish(attempt, State.DONE)

    def _check_nothing_is_left(self) -> None:
        assert self.model.entries == {}
        self.every_end_is_told_once()
        self.records_and_results_agree()
        for job_id, job in self.model.jobs.items():
            is_over = job.state is None or job.state in TERMINAL
            assert is_over or job_id in self.model.vanished
        assert self.redis.xlen(self.stream) == 0
        running = {job_id.decode() for job_id in self.redis.hvals(self.keys.running)}
        assert running <= self.model.vanished
        for group in self.redis.xinfo_groups(self.stream) if self.model.has_group else ():
            assert group["pending"] == 0
        counted = self.redis.hgetall(self.keys.counters)
        ended = Counter(state for _, state, _ in self.model.ends)
        assert {state: int(counted.get(state.value.encode(), 0)) for state in TERMINAL} == {
            state: ended[state] for state in TERMINAL
        }


def test_the_queue_is_what_its_model_says(server: EmbeddedServer) -> None:
    run_state_machine_as_test(
        lambda: QueueMachine(server),
        # The same histories until code changes, so that a failure is everybody's;
        # RANDOM_HISTORIES=1 makes new ones, and prints how to repeat one that failed.
        # What the phase `explain` traces of each line costs more than the queue does.
        settings=settings(
            max_examples=30,
            stateful_step_count=50,
            deadline=None,
            derandomize=not RANDOM,
            print_blob=RANDOM,
            database=None,
            phases=(Phase.generate, Phase.shrink),
        ),
    )

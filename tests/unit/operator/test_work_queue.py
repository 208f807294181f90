"""Names become due, once at a time, with growing pauses after failures."""

import threading
import time

import pytest

from whisperfleet.backoff import Backoff
from whisperfleet_operator.work_queue import WorkQueue

A, B = ("team", "a"), ("team", "b")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(clock: Clock) -> WorkQueue:
    return WorkQueue(Backoff(1.0, 8.0, jitter=0.25), clock)


def test_a_hundred_events_are_one_reconcile(queue: WorkQueue):
    for _ in range(100):
        queue.add(A)
    assert queue.depth == 1
    assert queue.take(0) == A
    assert queue.take(0) is None


def test_what_is_due_first_comes_first(queue: WorkQueue, clock: Clock):
    queue.add(A, 5)
    queue.add(B, 2)
    assert queue.take(0) is None
    clock.now += 10
    assert [queue.take(0), queue.take(0)] == [B, A]


def test_an_earlier_time_wins_and_a_later_one_does_not(queue: WorkQueue, clock: Clock):
    queue.add(A, 5)
    queue.add(A, 1)
    queue.add(A, 60)
    clock.now += 1
    assert queue.take(0) == A
    queue.done(A)
    clock.now += 100
    assert queue.take(0) is None


def test_nobody_gets_a_key_that_is_being_reconciled(queue: WorkQueue):
    queue.add(A)
    assert queue.take(0) == A
    queue.add(A)
    assert queue.take(0) is None
    assert queue.depth == 0
    queue.done(A, 30)
    # What happened during the reconcile is reconciled now, and not in 30 s.
    assert queue.take(0) == A


def test_everything_comes_back_after_its_pause(queue: WorkQueue, clock: Clock):
    queue.add(A)
    queue.take(0)
    queue.done(A, 10)
    clock.now += 9.9
    assert queue.take(0) is None
    clock.now += 0.2
    assert queue.take(0) == A


def test_failures_come_back_ever_later_until_one_reconcile_is_well(queue: WorkQueue, clock: Clock):
    pauses = []
    queue.add(A)
    for _ in range(6):
        clock.now += 60
        assert queue.take(0) == A
        pauses.append(queue.failed(A))
    for pause, most in zip(pauses, [1, 2, 4, 8, 8, 8], strict=True):
        assert 0.75 * most <= pause <= most
    clock.now += 60
    queue.take(0)
    queue.done(A, 0)
    queue.take(0)
    assert queue.failed(A) <= 1


def test_many_failures_do_not_overflow():
    assert Backoff(0.5, 60).seconds(100_000) <= 60


def test_an_event_cuts_a_pause_short(queue: WorkQueue):
    queue.add(A)
    queue.take(0)
    queue.failed(A)
    queue.add(A)
    assert queue.take(0) == A


def test_a_waiting_thread_is_woken_by_an_event_and_by_the_end():
    queue = WorkQueue()
    taken = []
    thread = threading.Thread(target=lambda: taken.extend([queue.take(), queue.take()]))
    thread.start()
    queue.add(A)
    deadline = time.monotonic() + 10
    while queue.depth and time.monotonic() < deadline:
        time.sleep(0.01)
    queue.stop()
    thread.join(10)
    assert taken == [A, None]


def test_a_reconcile_that_hangs_is_told(queue: WorkQueue, clock: Clock):
    queue.add(A)
    queue.take(0)
    clock.now += 61
    queue.take(0)
    assert queue.stalled(60) == "the reconcile of team/a has taken 61 s"
    queue.done(A)
    assert queue.stalled(60) is None


def test_a_key_that_nobody_takes_is_told(queue: WorkQueue, clock: Clock):
    queue.take(0)
    queue.add(A)
    assert queue.stalled(60) is None
    clock.now += 61
    assert queue.stalled(60) == "nobody has asked for work for 61 s"


def test_an_operator_that_waits_for_its_api_server_does_not_hang(queue: WorkQueue, clock: Clock):
    clock.now += 3600
    assert queue.stalled(60) is None


def test_many_threads_never_reconcile_one_service_together():
    queue = WorkQueue()
    keys = [("team", str(n)) for n in range(5)]
    busy: set[tuple[str, str]] = set()
    reconciles: list[tuple[str, str]] = []
    lock = threading.Lock()
    clashes = []

    def work() -> None:
        while (key := queue.take()) is not None:
            with lock:
                clashes.extend([key] if key in busy else [])
                busy.add(key)
                reconciles.append(key)
                enough = len(reconciles) >= 2000
            with lock:
                busy.discard(key)
            queue.done(key, 0)
            if enough:
                queue.stop()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for key in keys:
        queue.add(key)
    for thread in threads:
        thread.join(60)
    assert not clashes
    assert set(reconciles) == set(keys)

"""A few jobs make windows at a time, and one that hangs holds up nobody for long."""

import threading
from contextlib import ExitStack

from support.servers import wait_for
from whisperfleet.worker.preprocess_limiter import PreprocessLimiter


def test_no_more_than_the_slots_are_inside_at_a_time():
    slots = PreprocessLimiter(2, patience_seconds=60.0)
    inside, most, lock = 0, 0, threading.Lock()

    def prepare() -> None:
        nonlocal inside, most
        for _ in range(50):
            with slots.taken():
                with lock:
                    inside += 1
                    most = max(most, inside)
                with lock:
                    inside -= 1

    threads = [threading.Thread(target=prepare) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert 1 <= most <= 2


def test_who_waits_in_vain_goes_on_without_and_gives_nothing_back():
    slots = PreprocessLimiter(1, patience_seconds=0.05)
    done = threading.Event()

    def prepare() -> None:
        with slots.taken():
            done.set()

    with slots.taken():
        threading.Thread(target=prepare).start()
        wait_for(done.is_set, "the second goes on though the first hangs")
    waiting = PreprocessLimiter(1, patience_seconds=60.0)
    with ExitStack() as stack:
        stack.enter_context(waiting.taken())
    with waiting.taken():
        pass


def test_there_are_more_slots_than_processors():
    slots = PreprocessLimiter(3, patience_seconds=0.0)
    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(slots.taken())
        assert not slots._free.acquire(blocking=False)

"""What the worker writes is what the lease process reads, whatever happens at the same time."""

import math
import os
import threading
import time

import pytest

from whisperfleet.queue import Lease
from whisperfleet.worker.lease_table import LeaseTable


def lease(number: int) -> Lease:
    return Lease("wf:{q}:in:normal", f"{number}-0", f"job-{number}", number)


@pytest.fixture
def table():
    table = LeaseTable.create(slots=4)
    yield table
    table.close()


def test_what_is_held_is_read_elsewhere(table):
    reader = LeaseTable(os.dup(table.descriptor), table.slots)
    for number in range(4):
        table.hold(lease(number), ends=number + 0.5)
    table.drop(lease(2))
    table.drop(lease(2))
    table.step()
    assert reader.held() == {lease(0): 0.5, lease(1): 1.5, lease(3): 3.5}
    assert reader.steps == 1
    table.hold(lease(9), math.inf)
    assert reader.held()[lease(9)] == math.inf
    reader.close()


def test_a_lease_that_is_held_again_has_its_new_end_in_its_old_slot(table):
    for number in range(4):
        table.hold(lease(number), math.inf)
    table.hold(lease(1), 7.25)
    assert table.held()[lease(1)] == 7.25
    assert len(table.held()) == 4
    table.drop(lease(1))
    table.hold(lease(5), 1.0)


def test_the_reader_says_when_it_has_renewed(table):
    reader = LeaseTable(os.dup(table.descriptor), table.slots)
    assert table.renewed_at == 0.0
    before = time.monotonic()
    reader.note_renewal()
    assert before <= table.renewed_at <= time.monotonic()
    reader.close()


def test_a_claim_is_under_way_until_what_it_brought_is_held(table):
    reader = LeaseTable(os.dup(table.descriptor), table.slots)
    assert reader.claiming_seconds == 0.0
    before = time.monotonic()
    with table.claiming():
        time.sleep(0.001)
        assert 0.001 <= reader.claiming_seconds <= time.monotonic() - before
    assert reader.claiming_seconds == 0.0
    reader.close()


def test_no_more_than_there_are_slots(table):
    for number in range(4):
        table.hold(lease(number), 1.0)
    with pytest.raises(IndexError):
        table.hold(lease(5), 1.0)


def test_the_longest_names_fit_and_longer_ones_are_refused(table):
    longest = Lease(
        "wf:{" + "q" * 127 + "}:in:" + "p" * 63 + ":" + "t" * 63, "9" * 41, "j" * 200, 1
    )
    table.hold(longest, 1e9 / 3)
    assert table.held() == {longest: 1e9 / 3}
    with pytest.raises(ValueError, match="take 1"):
        table.hold(Lease("s" * 1024, "1-0", "j", 1), 1.0)


def test_a_reader_never_sees_half_a_lease(table):
    reader = LeaseTable(os.dup(table.descriptor), table.slots)
    stop = threading.Event()

    def churn() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            table.hold(lease(number), float(number))
            table.drop(lease(number))

    writer = threading.Thread(target=churn)
    writer.start()
    try:
        for _ in range(20_000):
            for seen, ends in reader.held().items():
                assert (seen, ends) == (lease(seen.epoch), seen.epoch)
    finally:
        stop.set()
        writer.join()
        reader.close()

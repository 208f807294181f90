"""What the worker writes is what the lease process reads, whatever happens at the same time."""

import os
import threading

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
        table.hold(lease(number))
    table.drop(lease(2))
    table.drop(lease(2))
    table.step()
    assert set(reader.held()) == {lease(0), lease(1), lease(3)}
    assert reader.steps == 1
    table.hold(lease(9))
    assert lease(9) in reader.held()
    reader.close()


def test_no_more_than_there_are_slots(table):
    for number in range(4):
        table.hold(lease(number))
    with pytest.raises(IndexError):
        table.hold(lease(5))


def test_the_longest_names_fit_and_longer_ones_are_refused(table):
    longest = Lease(
        "wf:{" + "q" * 127 + "}:in:" + "p" * 63 + ":" + "t" * 63, "9" * 41, "j" * 200, 1
    )
    table.hold(longest)
    assert table.held() == [longest]
    with pytest.raises(ValueError, match="take 1"):
        table.hold(Lease("s" * 1024, "1-0", "j", 1))


def test_a_reader_never_sees_half_a_lease(table):
    reader = LeaseTable(os.dup(table.descriptor), table.slots)
    stop = threading.Event()

    def churn() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            table.hold(lease(number))
            table.drop(lease(number))

    writer = threading.Thread(target=churn)
    writer.start()
    try:
        for _ in range(20_000):
            for seen in reader.held():
                assert seen == lease(seen.epoch)
    finally:
        stop.set()
        writer.join()
        reader.close()

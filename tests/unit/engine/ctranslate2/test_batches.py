"""A call that fails is repeated with less, until one item fails alone or all fit."""

import threading
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperfleet.engine.ctranslate2.batches import (
    BatchSize,
    in_batches,
    is_out_of_memory,
    one_by_one,
)
from whisperfleet.engine.ctranslate2.parallel_calls import ParallelCalls

OUT_OF_MEMORY = "CUDA failed with error out of memory"


class Call:
    """Doubles each item; fails on poison and on more items than fit."""

    def __init__(self, poison: Sequence[int] = (), fits: int = 1000) -> None:
        self.poison = set(poison)
        self.fits = fits
        self.asked: list[int] = []

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.asked.append(len(items))
        if len(items) > self.fits:
            raise RuntimeError(OUT_OF_MEMORY)
        if found := self.poison & set(items):
            raise ValueError(f"cannot swallow {sorted(found)}")
        return [2 * item for item in items]


@given(
    count=st.integers(0, 40),
    poison=st.sets(st.integers(0, 39)),
    fits=st.integers(1, 40),
    most=st.integers(1, 40),
)
def test_every_item_has_its_own_answer(count: int, poison: set[int], fits: int, most: int):
    size = BatchSize("the test", most)
    answers = in_batches(Call(tuple(poison), fits), range(count), size)
    assert len(answers) == count
    for item, answer in enumerate(answers):
        if item in poison:
            assert isinstance(answer, ValueError)
            assert str(answer) == f"cannot swallow [{item}]"
        else:
            assert answer == 2 * item
    assert size.now <= most


def test_a_batch_is_no_larger_than_it_may_be():
    call = Call()
    in_batches(call, range(10), BatchSize("the test", 4))
    assert call.asked == [4, 4, 2]


def test_one_poison_item_costs_two_calls_for_each_halving():
    call = Call(poison=[5])
    in_batches(call, range(32), BatchSize("the test", 32))
    assert len(call.asked) == 1 + 2 * 5


def test_memory_that_ran_out_is_remembered(caplog: pytest.LogCaptureFixture):
    call, size = Call(fits=5), BatchSize("the test", 16)
    assert in_batches(call, range(16), size) == [2 * item for item in range(16)]
    assert size.now == 4
    assert "no memory for 16 windows at once" in caplog.messages[0]
    call.asked.clear()
    in_batches(call, range(16), size)
    assert call.asked == [4, 4, 4, 4]


def test_only_items_of_a_kind_share_a_call():
    calls = []

    def call(items: Sequence[int]) -> list[int]:
        calls.append(list(items))
        return [-item for item in items]

    size = BatchSize("the test", 2)
    answers = in_batches(call, range(7), size, kind=lambda item: item % 2)
    assert answers == [-item for item in range(7)]
    assert calls == [[0, 2], [4, 6], [1, 3], [5]]


def test_calls_of_different_kinds_run_side_by_side():
    together = threading.Barrier(2, timeout=30)

    def call(items: Sequence[int]) -> Sequence[int]:
        together.wait()
        return items

    assert in_batches(call, range(2), BatchSize("the test", 8), ParallelCalls(2), lambda i: i) == [
        0,
        1,
    ]


def test_what_is_said_names_how_many_did_not_fit(caplog: pytest.LogCaptureFixture):
    call, size = Call(fits=2), BatchSize("the test", 16)
    in_batches(call, range(6), size)
    assert [message.partition(" at once")[0] for message in caplog.messages] == [
        "the device has no memory for 6 windows",
        "the device has no memory for 3 windows",
    ]
    assert "from now on the test takes 3; more are tried again later" in caplog.messages[0]


def calls_until_more(size: BatchSize, call: Call) -> int:
    """Return how many calls it takes until more items are tried than now."""
    known, calls = size.now, 0
    while size.now == known:
        in_batches(call, range(known), size)
        calls += 1
    return calls


def test_a_batch_grows_back_when_the_neighbour_is_gone():
    call, size = Call(fits=2), BatchSize("the test", 16)
    in_batches(call, range(16), size)
    assert size.now == 2
    call.fits = 1000
    grown = []
    while size.now < 16:
        calls_until_more(size, call)
        grown.append(size.now)
    assert grown == [4, 8, 16]
    in_batches(call, range(16), size)
    assert call.asked[-1] == 16


def test_what_never_fits_is_tried_ever_more_rarely():
    call, size = Call(fits=8), BatchSize("the test", 16)
    in_batches(call, range(16), size)
    between = []
    for _ in range(3):
        between.append(calls_until_more(size, call))
        in_batches(call, range(16), size)
        assert size.now == 8
    assert between[0] > 64
    assert between[1:] == pytest.approx([2 * between[0], 4 * between[0]], rel=0.1)


def test_poison_does_not_make_batches_smaller():
    size = BatchSize("the test", 16)
    in_batches(Call(poison=[3]), range(16), size)
    assert size.now == 16


def test_an_item_that_does_not_fit_alone_fails_alone():
    (error,) = in_batches(Call(fits=0), [1], BatchSize("the test", 8))
    assert is_out_of_memory(error)
    assert error.__traceback__ is None, "it would keep the batch in memory"


def test_one_by_one():
    first, second, third = one_by_one(lambda item: 6 // item, [1, 0, 2])
    assert (first, third) == (6, 3)
    assert isinstance(second, ZeroDivisionError)


@pytest.mark.parametrize(
    ("error", "memory"),
    [
        (RuntimeError("cuBLAS failed with status CUBLAS_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("failed to allocate 100 bytes"), True),
        (RuntimeError(OUT_OF_MEMORY), True),
        (MemoryError(), True),
        (RuntimeError("CUDA failed with error an illegal memory access"), False),
    ],
)
def test_what_counts_as_out_of_memory(error: Exception, memory: bool):
    assert is_out_of_memory(error) is memory


def test_a_batch_of_nothing_is_refused():
    with pytest.raises(ValueError, match="the least is 1"):
        BatchSize("the test", 0)

"""A call that fails is repeated with less, until one item fails alone or all fit."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperfleet.engine.batches import BatchSize, in_batches, is_out_of_memory, one_by_one

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

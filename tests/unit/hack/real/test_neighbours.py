"""What the neighbours of a window that loops wait for, in calls of the engine."""

import pytest

from hack.real.errors import GroundError
from hack.real.neighbours import Call, CountingEngine, Round, Wait, Waves, breaches, delays, send
from support.worker.engines import RESULT, LoopingEngine, window
from whisperfleet.contract.codes import Code
from whisperfleet.errors import InputError
from whisperfleet.worker.batcher import Batcher

BATCH = Call(4, False, 2.0)


def neighbours():
    return [window(1, name) for name in "abcdefg"]


@pytest.fixture
def line():
    """A line that knows how long a window takes, so that its batches are full."""
    looping = LoopingEngine()
    looping.gate.release(1000)
    engine = CountingEngine(looping)
    with Batcher(engine, 1000) as queue:
        send(queue, engine, window(1), neighbours()[:3])
        yield queue, engine, looping


def measured(line):
    queue, engine, _ = line
    return Round(
        send(queue, engine, window(1, "loop+5"), neighbours()),
        send(queue, engine, window(1, "clip"), neighbours()),
    )


def test_neighbours_of_a_loop_are_answered_with_its_first_call_and_one_call_later(line):
    one = measured(line)
    same, following = delays([one]).values()
    assert (same.calls, following.calls) == ((0,) * 3, (1,) * 4)
    assert (one.loop.own.calls, one.clip.own.calls) == (7, 1)
    assert [(call.windows, call.is_retry) for call in one.loop.calls] == [
        *((4, False), (1, True), (4, False)),
        *[(1, True)] * 4,
    ]


def test_a_line_in_which_a_loop_goes_first_to_its_end_is_told(line, monkeypatch):
    def loops_first(queue):
        queue._retried_last = len(queue._unsettled) > 0
        return (queue._unsettled if queue._retried_last else queue._new).take(4)

    monkeypatch.setattr(Batcher, "_take", loops_first)
    assert "a neighbour in the next batch is answered 5 calls later beside a loop" in list(
        breaches([measured(line)])
    )


def test_a_window_that_fails_is_told(line):
    queue, engine, looping = line
    failed = InputError(Code.UNKNOWN_LANGUAGE, "nobody knows it")
    looping.answers = [[RESULT, failed, RESULT, RESULT]]
    with pytest.raises(GroundError, match=r"window 1 of 8 was not recognised: .*nobody"):
        send(queue, engine, window(1), neighbours())


@pytest.mark.parametrize(("later", "says"), [(1.9, None), (2.0, "2.0 s later beside a loop")])
def test_neighbours_may_be_later_by_less_than_a_full_batch(later, says):
    def waves(second):
        return Waves((Wait(1, 2.0),), Wait(1, 2.0), (second,), (Call(1, False, 9.0), BATCH))

    found = list(breaches([Round(waves(Wait(3, 4.0 + later)), waves(Wait(2, 4.0)))]))
    assert [says in one for one in found] == ([] if says is None else [True])

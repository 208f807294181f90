"""Of the engine's time each job has a share, and the shares are all of it."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from support.servers import wait_for
from support.worker.engines import GatedEngine, LoopingEngine, window
from whisperfleet.errors import EngineLostError
from whisperfleet.worker.batcher import Batcher
from whisperfleet.worker.metering import Meter, lost_if_raised, metered, shares


def busy_seconds() -> float:
    return REGISTRY.get_sample_value("whisperfleet_engine_seconds_total") or 0.0


def lost_seconds() -> float:
    return REGISTRY.get_sample_value("whisperfleet_lost_device_seconds_total") or 0.0


@given(st.integers(0, 10**15), st.integers(1, 64))
def test_shares_are_equal_but_for_one_and_sum_to_the_whole(total: int, parts: int) -> None:
    parted = shares(total, parts)
    assert len(parted) == parts
    assert sum(parted) == total
    assert max(parted) - min(parted) <= 1


def test_a_pass_is_charged_by_window() -> None:
    now = [100.0]
    one, other = Meter(), Meter()
    with metered([one, other, one], lambda: now[0]):
        now[0] += 2.0
        assert one.computing_seconds(now[0]) == 2.0
        now[0] += 1.0
    assert (one.device_seconds, other.device_seconds) == (2.0, 1.0)
    now[0] += 5.0
    assert one.computing_seconds(now[0]) == other.computing_seconds(now[0]) == 3.0


def test_a_pass_that_failed_is_charged_too() -> None:
    now = [0.0]
    meter = Meter()
    busy, lost = busy_seconds(), lost_seconds()

    def fail() -> None:
        with lost_if_raised(meter), metered([meter], lambda: now[0]):
            now[0] = 0.5
            raise EngineLostError("the device fell off")

    with pytest.raises(EngineLostError):
        fail()
    assert meter.device_seconds == 0.5
    assert busy_seconds() - busy == pytest.approx(0.5)
    assert lost_seconds() - lost == pytest.approx(0.5)


def test_what_is_computed_for_a_job_that_has_left_is_lost() -> None:
    now = [0.0]
    engine = GatedEngine()
    meter = Meter()
    lost = lost_seconds()
    with Batcher(engine, 1000, clock=lambda: now[0]) as line:
        with line.join(meter=meter) as job:
            job.submit(window(1, "a"))
            wait_for(lambda: engine.seen == [["a"]], "the engine has begun")
        now[0] = 3.0
        engine.gate.release()
        wait_for(lambda: lost_seconds() > lost, "the pass to end")
    assert lost_seconds() - lost == pytest.approx(3.0)
    assert meter.device_seconds == 0


def test_the_jobs_of_a_run_have_all_of_the_engines_time() -> None:
    engine = LoopingEngine()
    engine.gate.release(1000)
    before = busy_seconds()
    meters = [Meter() for _ in range(7)]
    with Batcher(engine, 1000) as line:

        def carry_out(number: int) -> None:
            with line.join(meter=meters[number]) as job:
                names = ["a+2", "b", "c+1", "d"]
                for future in [job.submit(window(1, name)) for name in names]:
                    future.result(10)

        threads = [threading.Thread(target=carry_out, args=(n,)) for n in range(len(meters))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    busy = busy_seconds() - before
    assert [meter.windows for meter in meters] == [4] * len(meters)
    assert abs(sum(meter.device_seconds for meter in meters) - busy) <= 0.01 * busy


def test_a_job_that_waits_for_others_is_not_computed() -> None:
    engine = GatedEngine(batch_size=1)
    with Batcher(engine, 1000) as line, line.join() as busy, line.join() as other:
        first, second = busy.submit(window(1, "a")), other.submit(window(1, "b"))
        wait_for(lambda: engine.seen == [["a"]], "the engine has begun")
        wait_for(lambda: busy.computing_seconds() > 0, "it computes")
        assert other.computing_seconds() == 0
        engine.gate.release(2)
        first.result(10), second.result(10)
        assert other.computing_seconds() > 0

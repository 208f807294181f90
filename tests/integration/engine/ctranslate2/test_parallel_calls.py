"""Calls that run side by side, in the order of their items."""

import threading

import numpy as np
import pytest

from support.engine.fixtures import AS_THE_LIBRARY
from whisperfleet.engine import WindowRequest
from whisperfleet.engine.ctranslate2 import parallel_calls
from whisperfleet.engine.ctranslate2.features import MelWindow
from whisperfleet.engine.ctranslate2.parallel_calls import ParallelCalls, share_processors
from whisperfleet.engine.ctranslate2.whisper import WhisperEngine

PATIENCE_SECONDS = 30


def test_as_many_calls_as_lanes_run_at_a_time():
    together = threading.Barrier(2, timeout=PATIENCE_SECONDS)

    def call(item: int) -> int:
        together.wait()
        return -item

    assert ParallelCalls(2).map(call, [1, 2, 3, 4]) == [-1, -2, -3, -4]


def test_one_lane_is_the_askers_own_thread():
    threads = ParallelCalls().map(lambda _: threading.current_thread(), range(3))
    assert set(threads) == {threading.current_thread()}


def test_a_call_that_raises_leaves_the_others_alone():
    done = []

    def call(item: int) -> None:
        if item == 1:
            raise ValueError("no")
        done.append(item)

    with pytest.raises(ValueError, match="no"):
        ParallelCalls(2).map(call, range(5))
    assert sorted(done) == [0, 2, 3, 4]


@pytest.mark.parametrize(
    ("calls", "groups", "lengths"),
    [
        (1, [5], [5]),
        (2, [5], [3, 2]),
        (4, [2], [1, 1]),
        (3, [7], [3, 3, 1]),
        (2, [], []),
        (2, [1, 1, 1], [1, 1, 1]),
        (4, [5, 1, 1, 1], [2, 2, 1, 1, 1, 1]),
        (1, [5, 3], [5, 3]),
    ],
)
def test_items_are_shared_evenly_and_groups_are_not_mixed(
    calls: int, groups: list[int], lengths: list[int]
):
    items = [[(group, item) for item in range(count)] for group, count in enumerate(groups)]
    shares = ParallelCalls(calls).shares(items)
    assert [len(share) for share in shares] == lengths
    assert [one for share in shares for one in share] == [one for group in items for one in group]
    assert all(len({group for group, _ in share}) == 1 for share in shares)


@pytest.mark.parametrize(("threads", "shared"), [(1, (1, 1)), (2, (2, 1)), (9, (4, 2))])
def test_threads_make_lanes_before_they_share_one(threads: int, shared: tuple[int, int]):
    assert share_processors(threads) == shared


def test_a_process_takes_only_processors_that_it_may_use(monkeypatch):
    monkeypatch.setattr(parallel_calls, "usable_processors", lambda: 3)
    assert share_processors(0) == (3, 1)
    monkeypatch.setattr(parallel_calls, "usable_processors", lambda: 64)
    assert share_processors(0) == (4, 1)


def test_parallel_calls_say_the_same_words(micro_model):
    """Windows of several languages and lengths, some with words, in one call."""
    draw = np.random.default_rng(0)
    windows = [
        MelWindow(
            draw.normal(size=(80, frames)).astype(np.float32),
            WindowRequest(language, word_timestamps=frames == 900),
            language,
        )
        for frames, language in [(900, "en"), (3000, "de"), (300, None), (900, "en"), (40, "fr")]
    ]
    one, two = (
        WhisperEngine.load(micro_model, "cpu", "float32", threads, AS_THE_LIBRARY, batch_size=8)
        for threads in (1, 2)
    )
    # The last bits of a probability depend on what shares a product with it.
    for side_by_side, in_turn in zip(two.run(windows), one.run(windows), strict=True):
        assert side_by_side.segments == in_turn.segments
        assert side_by_side.language == in_turn.language
        assert side_by_side.avg_logprob == pytest.approx(in_turn.avg_logprob, abs=1e-4)

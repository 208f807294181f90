"""A file of any length takes the memory of a short one."""

import sys
import tracemalloc
from collections import deque
from collections.abc import Iterator
from itertools import cycle, islice

import pytest

from support.engine.synthetic import Samples, blocks, talk
from whisperfleet import pages
from whisperfleet.engine import Window, WindowRequest, WindowResult, WindowSegment
from whisperfleet.segmentation import Segmentation, SegmentationOptions, make_segmenter

MIB = 1024 * 1024


def minutes(count: int) -> Iterator[Samples]:
    """Yield a minute of talk again and again, in blocks of a second."""
    minute = list(blocks(talk([(0.5, 9), (10, 26), (26.4, 40), (43, 58)], 60)))
    return islice(cycle(minute), count * len(minute))


def read_whole(window: Window) -> WindowResult:
    return consumed(window.frames)


def read_half(window: Window) -> WindowResult:
    """Answer that the model stopped in the middle."""
    return consumed(window.frames // 2)


def consumed(frames: int) -> WindowResult:
    segment = WindowSegment(0.0, frames / 100, " words", ("1",))
    return WindowResult((segment,), frames, "en", 1.0, 0.0, -0.1, 0.0, 1.0)


def peak_memory(length: int, options: SegmentationOptions, answer) -> int:
    """Return the bytes that cutting so many minutes takes at once, four windows under way."""
    stream = minutes(length)
    next(stream)  # the minute that is repeated is the test's, not the segmenter's
    segmenter = make_segmenter(stream, WindowRequest("en"), options)
    tracemalloc.start()
    try:
        windows, unanswered = 0, deque()
        while (placed := segmenter.next() if len(unanswered) < 4 else None) or unanswered:
            if placed:
                windows += 1
                unanswered.append(placed)
            else:
                first = unanswered.popleft()
                segmenter.answer(first.timeline, answer(first.window))
                del first
            del placed
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert segmenter.duration == length * 60 - 1
    assert windows >= segmenter.duration_after_vad / 30
    return peak


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        (SegmentationOptions(Segmentation.PARALLEL), read_whole),
        (SegmentationOptions(Segmentation.PARALLEL), read_half),
        (SegmentationOptions(Segmentation.PARALLEL, vad=False), read_whole),
        (SegmentationOptions(Segmentation.SEQUENTIAL), read_whole),
        (SegmentationOptions(Segmentation.SEQUENTIAL, vad=False), read_whole),
    ],
    ids=[
        "parallel",
        "parallel with rests",
        "parallel without vad",
        "sequential",
        "sequential without vad",
    ],
)
def test_eight_minutes_take_no_more_than_two(
    options: SegmentationOptions, answer, monkeypatch: pytest.MonkeyPatch
):
    # tracemalloc does not know of mappings.
    monkeypatch.setattr(pages, "_LEAST_BYTES", sys.maxsize)
    two, eight = (peak_memory(length, options, answer) for length in (2, 8))
    # Six minutes more are 12 MB of samples, or 23 MB as the library holds them. A window more or
    # less at the highest moment is 2 MB, and there may be several.
    assert eight - two < 8 * MIB, f"{two / MIB:.1f} MiB and {eight / MIB:.1f} MiB"
    # The features of one window pass through some 30 MB of intermediate arrays.
    assert eight < 48 * MIB, f"{eight / MIB:.1f} MiB"

from itertools import pairwise

import pytest

from support.engine.synthetic import RATE, blocks, noise
from whisperfleet.engine import WindowRequest, WindowResult, WindowSegment, WindowWord
from whisperfleet.segmentation import (
    Answered,
    Piece,
    SegmentationOptions,
    Timeline,
    assemble,
    make_segmenter,
)


def segmenter(seconds: float = 20.0, language: str | None = None):
    made = make_segmenter(blocks(noise(seconds)), WindowRequest(language), SegmentationOptions())
    assert made.next() is None
    return made


def result(*segments: WindowSegment, language: str = "en", probability: float = 0.9):
    return WindowResult(segments, 3000, language, probability, 0.2, -0.3, 0.01, 1.5)


def timeline(start: float, seconds: float) -> Timeline:
    return Timeline((Piece(int(start * RATE), int(seconds * RATE)),))


def test_windows_become_one_transcript():
    transcript = assemble(
        [
            Answered(timeline(1, 5), result(WindowSegment(0.0, 1.5, " Hello there.", ("1",)))),
            Answered(
                timeline(8, 5),
                result(WindowSegment(0.25, 2.0, " And here.", ("2",)), probability=1.0),
            ),
        ],
        segmenter(),
    )
    assert transcript.text == "Hello there. And here."
    assert (transcript.language, transcript.language_probability) == ("en", 0.9)
    assert (transcript.duration, transcript.duration_after_vad) == (20.0, 0.0)
    assert [(one.start, one.end) for one in transcript.segments] == [(1.0, 2.5), (8.25, 10.0)]
    first = transcript.segments[0]
    assert (first.text, first.words) == ("Hello there.", None)
    assert (first.avg_logprob, first.no_speech_prob) == (-0.3, 0.01)
    assert (first.compression_ratio, first.temperature) == (1.5, 0.2)


def test_a_segment_spans_its_words():
    words = (WindowWord(0.5, 1.0, " Hello", 0.8), WindowWord(2.1, 2.4, " there.", 0.7))
    two_pieces = Timeline((Piece(RATE, 2 * RATE), Piece(10 * RATE, RATE)))
    segment = WindowSegment(0.0, 3.0, " Hello there.", ("1",), words)
    (placed,) = assemble([Answered(two_pieces, result(segment))], segmenter()).segments
    assert [(one.start, one.end, one.text) for one in placed.words] == [
        (1.5, 2.0, "Hello"),
        (10.1, 10.4, "there."),
    ]
    assert (placed.start, placed.end) == (1.5, 10.4)


def test_segments_are_in_the_order_of_the_file_whatever_was_answered_first():
    later = Answered(timeline(8, 5), result(WindowSegment(0.0, 1.0, " Second.", ("2",))))
    earlier = Answered(timeline(1, 5), result(WindowSegment(0.0, 1.0, " First.", ("1",))))
    assert assemble([later, earlier], segmenter()).text == "First. Second."


def test_no_segment_ends_after_the_next_one_begins():
    words = (WindowWord(0.5, 1.0, " Hello", 0.8), WindowWord(1.2, 4.5, " there.", 0.7))
    first = Answered(timeline(1, 5), result(WindowSegment(0.0, 5.0, " Hello there.", (), words)))
    # Read again from a place that the first reading passed by a second.
    second = Answered(timeline(4, 5), result(WindowSegment(0.0, 1.0, " And here.", ("2",))))
    before, after = assemble([first, second], segmenter()).segments
    assert (before.start, before.end, after.start) == (1.5, 4.0, 4.0)
    assert [(word.start, word.end) for word in before.words] == [(1.5, 2.0), (2.2, 4.0)]


def test_nothing_ends_after_the_audio():
    segment = WindowSegment(0.0, 29.98, " Hello", ("1",), (WindowWord(0.2, 29.0, " Hello", 0.5),))
    (placed,) = assemble([Answered(timeline(15, 5), result(segment))], segmenter(20.0)).segments
    assert (placed.end, placed.words[0].end) == (20.0, 20.0)


@pytest.mark.parametrize(
    ("language", "text"), [("ja", "今日は。晴れ。"), ("en", "今日は。 晴れ。")]
)
def test_languages_without_spaces_get_none(language: str, text: str):
    segments = (WindowSegment(0, 1, "今日は。", ("1",)), WindowSegment(1, 2, "晴れ。", ("2",)))
    answered = Answered(timeline(0, 5), result(*segments, language=language))
    assert assemble([answered], segmenter()).text == text


@pytest.mark.parametrize(("asked", "expected"), [(None, "und"), ("de", "de")])
def test_audio_without_speech(asked: str | None, expected: str):
    transcript = assemble([], segmenter(20.0, asked))
    assert (transcript.text, transcript.segments) == ("", ())
    assert (transcript.language, transcript.language_probability) == (expected, 0.0)
    assert transcript.duration == 20.0


def test_cues_that_begin_at_once_share_the_time_by_their_texts():
    segments = (
        WindowSegment(1.0, 1.0, " Yes", ("1",)),
        WindowSegment(1.0, 3.0, " it is not", ("2",)),
        WindowSegment(2.5, 4.0, " so", ("3",)),
    )
    found = assemble([Answered(timeline(0, 5), result(*segments))], segmenter()).segments
    times = [(one.start, one.end) for one in found]
    assert times == [(1.0, pytest.approx(1.5)), (pytest.approx(1.5), 2.5), (2.5, 4.0)]


def test_a_cue_after_the_end_of_its_window_shares_the_time_of_the_one_before():
    """The model hears a window as half a minute long, and may place a text behind its end."""
    segments = (WindowSegment(2.0, 4.0, " Yes", ("1",)), WindowSegment(6.0, 9.0, " no", ("2",)))
    found = assemble([Answered(timeline(0, 4), result(*segments))], segmenter()).segments
    assert [(one.start, one.end) for one in found] == [(2.0, 3.2), (3.2, 4.0)]


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        # There is room after it, before it, on both sides, hardly any, or none.
        ([(0, 1), (2, 2), (3, 4)], (2.0, 2.1)),
        ([(0, 1), (5, 5)], (4.9, 5.0)),
        ([(0, 1), (2, 2), (2.04, 4)], (1.94, 2.04)),
        ([(0, 4.97), (4.98, 5)], (4.98, 5.0)),
        ([(0, 5), (5, 5)], (2.5, 5.0)),
    ],
)
def test_no_cue_is_empty(spans, expected):
    segments = [WindowSegment(*span, " one", ("1",)) for span in spans]
    found = assemble([Answered(timeline(0, 5), result(*segments))], segmenter(5.0)).segments
    assert (found[1].start, found[1].end) == expected
    for before, after in pairwise(found):
        assert before.end <= after.start

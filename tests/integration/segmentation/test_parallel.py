from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle, pairwise

import numpy as np
import pytest
from faster_whisper.vad import VadOptions, get_speech_timestamps
from hypothesis import given, settings
from hypothesis import strategies as st

from support.engine.synthetic import RATE, babble, blocks, noise, talk
from support.segmentation.running import heedless, run
from support.segmentation.scripted import Heard, answered, nothing, speech
from whisperfleet.engine import WindowRequest, WindowResult, WindowSegment, WindowWord
from whisperfleet.engine.ctranslate2.whisper import WhisperEngine
from whisperfleet.segmentation import (
    Piece,
    PlacedWindow,
    SegmentationOptions,
    assemble,
    make_segmenter,
)
from whisperfleet.segmentation.parallel import ParallelSegmenter
from whisperfleet.segmentation.pcm import to_float
from whisperfleet.segmentation.speech import Speech

ENGLISH = WindowRequest("en")
TALK = talk([(1, 7), (8.5, 22), (24, 33), (36, 50), (53, 58)], 59)


def divided(audio, request=ENGLISH, options=SegmentationOptions()):  # noqa: B008
    """Return a segmenter and its windows; where it waits, it hears that there are no words."""
    segmenter = make_segmenter(blocks(audio), request, options)
    return segmenter, every_window(segmenter)


def every_window(segmenter, answer=nothing) -> list[PlacedWindow]:
    """Return all windows of a segmenter, each answered when no more can be made before."""
    found, unanswered = [], deque()
    while (placed := segmenter.next()) or unanswered:
        if placed:
            found.append(placed)
            unanswered.append(placed)
        else:
            first = unanswered.popleft()
            segmenter.answer(first.timeline, answer(first))
    return found


def one_after_the_other(found: list[PlacedWindow]) -> bool:
    return all(before.end <= after.start for before, after in pairwise(pieces_of(found)))


def pieces_of(found: list[PlacedWindow]) -> list[Piece]:
    return sorted(
        (piece for placed in found for piece in placed.timeline.pieces), key=lambda one: one.start
    )


def test_windows_are_packed_spans_with_the_librarys_features():
    vad = VadOptions(min_silence_duration_ms=500)
    spans = [(one["start"], one["end"]) for one in get_speech_timestamps(to_float(TALK), vad)]
    segmenter, found = divided(TALK)
    pieces = [piece for placed in found for piece in placed.timeline.pieces]
    assert [(piece.start, piece.end) for piece in pieces] == spans
    assert len(found) < len(spans)
    for placed in found:
        samples = np.concatenate([TALK[one.start : one.end] for one in placed.timeline.pieces])
        assert len(samples) <= 30 * RATE
        np.testing.assert_array_equal(placed.window.samples, to_float(samples))
        assert placed.window.seams == placed.timeline.seams
        assert len(placed.window.seams) == len(placed.timeline.pieces) - 1
    for placed, following in pairwise(found):
        together = sum(
            one.samples for one in (*placed.timeline.pieces, following.timeline.pieces[0])
        )
        assert together > 30 * RATE
    assert segmenter.duration == 59
    assert segmenter.duration_after_vad == sum(end - start for start, end in spans) / RATE


@pytest.mark.parametrize("seconds", [30.0, 17.0])
def test_without_the_detector_windows_follow_one_another_and_end_in_pauses(seconds: float):
    options = SegmentationOptions(vad=False, max_window_seconds=seconds)
    segmenter, found = divided(TALK, options=options)
    pieces = pieces_of(found)
    assert (pieces[0].start, pieces[-1].end) == (0, len(TALK))
    assert all(before.end == after.start for before, after in pairwise(pieces))
    assert segmenter.duration == segmenter.duration_after_vad == 59
    assert max(placed.window.seconds for placed in found) <= seconds
    vad = VadOptions(min_silence_duration_ms=500, speech_pad_ms=0)
    spoken = get_speech_timestamps(to_float(TALK), vad)
    pauses = [(one["end"], after["start"]) for one, after in pairwise(spoken)]
    for placed in found:
        assert placed.window.seams == placed.timeline.seams
        within = [
            (end, start)
            for end, start in pauses
            if placed.timeline.start < end and start < placed.timeline.pieces[-1].end
        ]
        middles = [((end + start) / 2 - placed.timeline.start) / RATE for end, start in within]
        assert placed.window.seams == pytest.approx(middles)
    ends = [placed.timeline.pieces[-1].end for placed in found]
    assert len(ends) > 2
    for end in ends:
        assert not any(span["start"] < end < span["end"] for span in spoken)


def test_shorter_windows_cut_longer_speech():
    audio = babble(58)
    _, found = divided(audio, options=SegmentationOptions(max_window_seconds=10.0))
    assert len(found) >= 6
    assert max(placed.window.seconds for placed in found) <= 10.0
    assert one_after_the_other(found)
    spans = get_speech_timestamps(to_float(audio), VadOptions(min_silence_duration_ms=500))
    read = sum(piece.samples for piece in pieces_of(found))
    assert read == sum(span["end"] - span["start"] for span in spans)


SHORT = SegmentationOptions(max_window_seconds=5.0)


def parallel(
    *runs: Speech, request=ENGLISH, options: SegmentationOptions = SHORT
) -> ParallelSegmenter:
    return ParallelSegmenter(Heard(runs), request, options)


def bounds(placed: PlacedWindow) -> list[tuple[float, float]]:
    return [(piece.start / RATE, piece.end / RATE) for piece in heedless(placed.timeline).pieces]


def test_what_an_answer_did_not_consume_is_read_before_anything_new():
    segmenter = parallel(speech(1, 5), speech(6, 10), speech(11, 15))
    first, second = segmenter.next(), segmenter.next()
    segmenter.answer(first.timeline, answered((0, 1.5), consumed=1.5))
    rest, third = segmenter.next(), segmenter.next()
    assert [bounds(placed) for placed in (first, second, rest, third)] == [
        [(1, 5)],
        [(6, 10)],
        [(2.5, 5)],
        [(11, 15)],
    ]
    for placed in (second, rest, third):
        segmenter.answer(placed.timeline, nothing(placed))
    assert segmenter.next() is None


@pytest.mark.parametrize(("vad", "rest"), [(True, None), (False, [(3.5, 5)])])
def test_without_the_detector_what_it_does_not_hear_is_read_as_well(vad: bool, rest):
    """Faint speech, of which the model has said that it goes on."""
    unheard = replace(speech(1, 5), heard=((RATE, 3 * RATE),))
    segmenter = parallel(unheard, options=replace(SHORT, vad=vad))
    segmenter.answer(segmenter.next().timeline, answered((0, 2.5), consumed=2.5))
    placed = segmenter.next()
    assert (bounds(placed) if placed else None) == rest


def test_speech_longer_than_a_window_is_read_on_from_the_last_whole_cue():
    segmenter = parallel(speech(1, 12), speech(20, 22))
    first, other = segmenter.next(), segmenter.next()
    # What follows the first window is read when it is known where.
    assert [bounds(first), bounds(other)] == [[(1, 6)], [(20, 22)]]
    assert segmenter.next() is None
    kept = segmenter.answer(first.timeline, answered((0, 3.5), (3.5, 5), consumed=5))
    assert [(one.start, one.end) for one in kept.result.segments] == [(0, 3.5)]
    assert bounds(segmenter.next()) == [(4.5, 9.5)]


def test_speech_that_comes_in_parts_is_one():
    segmenter = parallel(speech(0, 4), speech(4, 8, joined=True), speech(8, 9, joined=True))
    first = segmenter.next()
    assert bounds(first) == [(0, 5)]
    assert first.timeline.seams == ()
    assert segmenter.next() is None
    segmenter.answer(first.timeline, answered((0, 4.5), consumed=4.5))
    second = segmenter.next()
    assert bounds(second) == [(4.5, 9)]
    segmenter.answer(second.timeline, nothing(second))
    assert segmenter.next() is None


@pytest.mark.parametrize("asked", [False, True])
def test_a_window_that_ends_in_speech_has_the_times_of_words(asked: bool):
    request = WindowRequest("en", word_timestamps=asked)
    segmenter = parallel(speech(0, 7), speech(9, 11), request=request)
    long, short = segmenter.next(), segmenter.next()
    assert [placed.window.request.word_timestamps for placed in (long, short)] == [True, asked]
    word = WindowWord(0.5, 3.0, " word", 0.9)
    kept = segmenter.answer(long.timeline, answered((0, 5), consumed=5, words=(word,)))
    assert [one.words for one in kept.result.segments] == [(word,) if asked else None]


def test_a_moment_that_is_left_over_is_no_window():
    # The features of less than a hundredth of a second are none.
    segmenter = parallel(speech(0, 5.005))
    placed = segmenter.next()
    segmenter.answer(placed.timeline, nothing(placed))
    assert segmenter.next() is None


def test_speech_without_words_is_told():
    segmenter = parallel(speech(1, 5), speech(6, 10))
    found = every_window(
        segmenter, lambda placed: nothing(placed) if placed.timeline.start < 2 * RATE else WHOLE
    )
    assert len(found) == 2
    assert segmenter.unrecognised == [(1.0, 5.0)]


WHOLE = answered((0, 4), consumed=4)


def test_what_was_not_recognised_is_told_in_order_of_time():
    segmenter = parallel(speech(1, 5), speech(6, 10), speech(11, 15))
    first, second, third = (segmenter.next() for _ in range(3))
    for placed in (third, first, second):
        segmenter.answer(placed.timeline, nothing(placed))
    assert segmenter.unrecognised == [(1.0, 5.0), (6.0, 10.0), (11.0, 15.0)]


def test_a_knock_makes_no_window_and_a_short_word_does():
    for seconds, windows in ((0.1, 0), (0.25, 1)):
        _, found = divided(talk([(3, 3 + seconds)], 6))
        assert len(found) == windows


def said(tokens: Sequence[int], end: float, temperature: float = 0.0) -> WindowResult:
    """Answer with one cue of such pieces, after which the model stopped."""
    segments = (WindowSegment(0.0, end, " said", tuple(map(str, tokens))),)
    return replace(answered(consumed=end), segments=segments, temperature=temperature)


def contexts(segmenter: ParallelSegmenter, *answers: WindowResult) -> list[tuple[str, ...]]:
    """Return the text before each window of a segmenter whose windows are so answered."""
    found = []
    for answer in answers:
        placed = segmenter.next()
        found.append(placed.window.previous)
        segmenter.answer(placed.timeline, answer)
    return [*found, segmenter.next().window.previous]


@pytest.mark.parametrize(
    ("tokens", "kept"), [(70, 32), (32, 32), (31, 16), (16, 16), (15, 0), (0, 0)]
)
def test_what_an_answer_left_unread_has_the_last_of_its_text_before_it(tokens: int, kept: int):
    """In few lengths, so that windows share a call of the engine."""
    text = tuple(map(str, range(tokens)))
    assert contexts(parallel(speech(1, 5)), said(text, 2)) == [(), text[tokens - kept :]]


@pytest.mark.parametrize(("tokens", "kept"), [(70, 64), (64, 64), (63, 32), (31, 16), (15, 0)])
def test_where_all_is_read_more_text_is_before_it(tokens: int, kept: int):
    text = tuple(map(str, range(tokens)))
    segmenter = parallel(speech(1, 5), options=replace(SHORT, vad=False))
    assert contexts(segmenter, said(text, 2)) == [(), text[tokens - kept :]]


def test_the_text_before_a_rest_goes_back_over_the_windows_before_it():
    first, second = tuple(map(str, range(100, 120))), tuple(map(str, range(200, 220)))
    found = contexts(parallel(speech(1, 5)), said(first, 1), said(second, 1), said((), 1))
    text = (*first[-16:], *second)
    assert found == [(), first[-16:], text[-32:], text[-32:]]


def test_speech_that_is_read_on_has_the_text_before_it():
    runs = (speech(0, 4), speech(4, 8, joined=True), speech(8, 12, joined=True))
    found = contexts(parallel(*runs), said(range(16), 4.5), said(range(50, 66), 4))
    first, second = tuple(map(str, range(16))), tuple(map(str, range(50, 66)))
    assert found == [(), first, (*first, *second)]


def test_a_window_of_its_own_has_no_text_before_it():
    segmenter = parallel(speech(1, 5), speech(6, 10))
    assert contexts(segmenter, said(range(20), 2), said(range(20), 2)) == [
        (),
        tuple(map(str, range(4, 20))),
        (),
    ]


@pytest.mark.parametrize(("temperature", "kept"), [(0.4, 16), (0.5, 16), (0.6, 0), (1.0, 0)])
def test_text_that_was_sampled_hot_is_not_before_a_rest(temperature: float, kept: int):
    text = tuple(map(str, range(16)))
    found = contexts(parallel(speech(1, 5)), said(text, 1, temperature), said((), 1))
    # It is not there later either.
    assert found[1:] == [text[:kept], text[:kept]]


def test_no_text_is_before_a_rest_where_that_is_not_wanted():
    options = replace(SHORT, condition_on_previous_text=False)
    assert contexts(parallel(speech(1, 5), options=options), said(range(40), 2)) == [(), ()]


def by_rule(placed: PlacedWindow) -> WindowResult:
    """Answer with a word a second, and stop in the middle of every third window."""
    seconds = placed.window.seconds
    stops = placed.timeline.start % 3 == 0 and seconds > 2
    end = seconds / 2 if stops else seconds
    words = [WindowWord(at, min(at + 0.7, end), f" {at}", 0.9) for at in range(int(end) or 1)]
    return answered((0.0, end), consumed=end, words=words)


RUNS = [
    speech(0, 4),
    speech(5, 18),
    speech(19, 21),
    speech(22, 29),
    speech(29, 36, joined=True),
    speech(36, 41, joined=True),
    speech(45, 46),
]


SPOKEN = sum(len(one.samples) for one in RUNS) / RATE


@settings(max_examples=20)
@given(st.randoms(use_true_random=False))
def test_answers_in_any_order_give_the_same_transcript(rng):
    transcripts = []
    for choose in (lambda _: 0, rng.randrange):
        segmenter = parallel(*RUNS)
        unanswered, kept = [], []
        while True:
            placed = segmenter.next() if not unanswered or choose(2) == 0 else None
            if placed:
                unanswered.append(placed)
            elif unanswered:
                placed = unanswered.pop(choose(len(unanswered)))
                kept.append(segmenter.answer(placed.timeline, by_rule(placed)))
            else:
                break
        transcripts.append(assemble(kept, segmenter))
    assert transcripts[0] == transcripts[1]
    assert len(transcripts[0].segments) > len(RUNS)


# Whatever an engine may say, on purpose or not: times before the window, after it, backwards.
seconds_strategy = st.floats(-2, 8, allow_nan=False)
words_strategy = st.lists(
    st.builds(WindowWord, seconds_strategy, seconds_strategy, st.just(" word"), st.just(0.5)),
    max_size=3,
).map(tuple)
answer_strategy = st.builds(
    WindowResult,
    st.lists(
        st.builds(
            WindowSegment,
            seconds_strategy,
            seconds_strategy,
            st.just(" words"),
            st.just((1,)),
            st.none() | words_strategy,
        ),
        max_size=3,
    ).map(tuple),
    st.integers(-100, 800) | st.integers(0, 2),
    *map(st.just, ("en", 1.0, 0.0, -0.1, 0.0, 1.0)),
)


@settings(max_examples=40)
@given(st.lists(answer_strategy, min_size=1, max_size=5))
def test_whatever_an_engine_answers_all_speech_is_read_in_a_bounded_number_of_windows(answers):
    segmenter = parallel(*RUNS)
    script = cycle(answers)
    found = []

    def answer(placed: PlacedWindow) -> WindowResult:
        found.append(placed)
        # At most one for each half second of speech, and one for each run.
        assert len(found) <= 2 * SPOKEN + len(RUNS)
        return next(script)

    every_window(segmenter, answer)
    read = np.zeros(RUNS[-1].end, bool)
    for piece in pieces_of(found):
        read[piece.start : piece.end] = True
    for one in RUNS:
        # Less than the shortest word is no window of its own.
        assert np.count_nonzero(~read[one.start : one.end]) < RATE // 4


def test_every_window_has_the_request_and_no_previous_text():
    request = WindowRequest("en", prompt="Aab", word_timestamps=True)
    _, found = divided(TALK, request)
    assert len(found) > 1
    assert {(placed.window.request, placed.window.previous) for placed in found} == {(request, ())}


@pytest.mark.parametrize("audio", [noise(20), noise(0)], ids=["noise", "nothing"])
def test_no_speech_gives_no_window(audio):
    segmenter, found = divided(audio)
    assert found == []
    assert segmenter.duration == len(audio) / RATE
    assert segmenter.duration_after_vad == 0


def test_a_language_that_is_known_needs_no_answers():
    segmenter = make_segmenter(blocks(TALK), ENGLISH, SegmentationOptions())
    assert [segmenter.next() is None for _ in range(2)] == [False, False]


def test_the_first_answer_gives_the_language_of_all(engine: WhisperEngine):
    segmenter = make_segmenter(blocks(TALK), WindowRequest(), SegmentationOptions())
    first = segmenter.next()
    assert (segmenter.next(), segmenter.language) == (None, None)
    (answer,) = engine.run([engine.prepare(first.window)])
    segmenter.answer(first.timeline, answer)
    assert segmenter.language == answer.language
    others = run(segmenter, engine)
    assert len(others) > 1
    assert {placed.window.language for placed, _ in others} == {answer.language}
    assert {result.language for _, result in others} == {answer.language}

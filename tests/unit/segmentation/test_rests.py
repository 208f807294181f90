"""What an answer leaves unread of its window, rule by rule."""

from dataclasses import replace

import pytest

from support.engine.synthetic import RATE
from support.segmentation.scripted import answered, speech
from whisperfleet.engine import WindowWord
from whisperfleet.segmentation.rests import keep_whole_words, unconsumed, unread, unrecognised
from whisperfleet.segmentation.runs import Run, length_of, skip, timeline_of

# Ten seconds of a window: speech from 1 s of the file to 7, and from 20 to 24, padded with 0.4 s.
WINDOW = (speech(0.6, 7.0, padding=0.4), speech(19.6, 23.2, padding=0.4))
# Ten seconds in the middle of speech.
SPEECH = (speech(100, 110),)


def begins_at(rest: Run) -> float | None:
    """Return the second of the file where a rest begins, None where there is none."""
    return rest[0].start / RATE if rest else None


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        # A doubled timestamp: the model stopped there.
        (answered((0, 3), consumed=3), 3.6),
        (answered((0, 3), (3, 7.4), consumed=7.4), 20.6),
        # What is left has less than a quarter second of speech.
        (answered((0, 9.4), consumed=9.4), None),
        (answered((0, 9.2), consumed=9.2), 22.4),
        # All is consumed, and the last cue ends long before the speech does.
        (answered((0, 3), consumed=10), 3.6),
        (answered((0, 2), (2, 8.5), consumed=10), 21.7),
        # Timestamps are early: not a second of speech is after it.
        (answered((0, 8.7), consumed=10), None),
        # Nothing is said to be consumed: then all of it is.
        (answered((0, 9.9), consumed=0), None),
        # Nothing was recognised at all.
        (answered(consumed=10), None),
        (answered(consumed=0), None),
        # Nothing was recognised, and the model stopped.
        (answered(consumed=4), 4.6),
        # It moves on by half a second, whatever it is told.
        (answered((0, 0.02), consumed=0.02), 1.1),
        (answered((-1, 0), consumed=10), 1.1),
        (answered((0, 99), consumed=99), None),
    ],
)
def test_what_is_left_of_a_window_that_ends_in_a_pause(result, expected):
    rest = unread(WINDOW, result)
    assert begins_at(rest) == (pytest.approx(expected) if expected else None)
    if rest:
        assert rest[-1].end == WINDOW[-1].end


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (answered((0, 3), consumed=3), 3.6),
        (answered((0, 9.4), consumed=9.4), 22.6),
        (answered(consumed=4), 4.6),
        (answered((0, 0.02), consumed=0.02), 1.1),
        (answered((0, 3), consumed=10), None),
        (answered((0, 9.9), consumed=0), None),
        (answered((0, 99), consumed=99), None),
    ],
)
def test_what_the_model_did_not_consume_whatever_was_heard(result, expected):
    rest = unconsumed(WINDOW, result)
    assert begins_at(rest) == (pytest.approx(expected) if expected else None)
    if rest:
        assert rest[-1].end == WINDOW[-1].end


def words(*ends: float) -> list[WindowWord]:
    return [WindowWord(end - 0.5, end, f" {end:g}", 0.9) for end in ends]


def kept(result) -> list[tuple[float, float]]:
    return [(one.start, one.end) for one in result.segments]


@pytest.mark.parametrize(
    ("result", "expected", "rest"),
    [
        # The model stopped by itself: its cues are whole.
        (answered((0, 4), (4, 8), consumed=8), [(0, 4), (4, 8)], 108),
        # It closed the last cue because the window ended: that is read again.
        (answered((0, 6), (6, 10), consumed=10), [(0, 6)], 106),
        (answered((0, 3), (3, 6), (6, 9.5), consumed=10), [(0, 3), (3, 6)], 106),
        # It ended long before the window did.
        (answered((0, 4), (4, 8), consumed=10), [(0, 4), (4, 8)], 108),
        # One cue over all of it, or most: what is whole of it stays.
        (answered((0, 10), consumed=10, words=words(1, 5, 8, 9.5)), [(0, 8)], 108),
        (
            answered((0, 2), (2, 10), consumed=10, words=words(3, 7.5, 9.2)),
            [(0, 2), (2, 7.5)],
            107.5,
        ),
        # Not one word is whole, or none is known: read on after all of it.
        (answered((0, 10), consumed=10, words=words(9.5, 9.9)), [(0, 10)], None),
        (answered((0, 10), consumed=10), [(0, 10)], None),
        # Nothing was recognised.
        (answered(consumed=10), [], None),
        (answered(consumed=6), [], 106),
        # It moves on by half a second, whatever it is told.
        (answered((0, 0.1), consumed=0.1), [(0, 0.1)], 100.5),
        (answered((-3, 0), consumed=10), [(-3, 0)], 100.5),
        (answered((0, 10), consumed=10, words=words(-2)), [(0, -2)], 100.5),
    ],
)
def test_what_counts_of_a_window_that_was_cut_in_speech(result, expected, rest):
    counts, left = keep_whole_words(SPEECH, result)
    assert kept(counts) == expected
    assert begins_at(left) == rest
    if left:
        assert left[-1].end == SPEECH[-1].end
        assert left[0].joined


def test_a_cue_that_is_shortened_has_the_text_of_its_whole_words():
    result = answered((0, 10), consumed=10, words=words(1, 5, 9.5))
    counts, _ = keep_whole_words(SPEECH, result)
    (segment,) = counts.segments
    assert segment.text == " 1 5"
    assert segment.words == tuple(words(1, 5))


def test_a_cue_that_is_shortened_has_its_share_of_the_pieces():
    (cue,) = answered((0, 10), consumed=10, words=words(1, 5, 8.5, 9.5)).segments
    told = replace(
        answered(consumed=10), segments=(replace(cue, pieces=tuple(map(str, range(20)))),)
    )
    (segment,) = keep_whole_words(SPEECH, told)[0].segments
    # What follows is read again: its pieces are no text before it.
    assert (cue.text, segment.text) == (" 1 5 8.5 9.5", " 1 5 8.5")
    assert segment.pieces == tuple(map(str, range(20 * 8 // 12)))


def test_silence_before_a_cut_is_not_read_again():
    window = (speech(100, 104), speech(104, 110, joined=True, padding=3))
    _, rest = keep_whole_words(window, answered((0, 4), consumed=10))
    assert rest == ()


@pytest.mark.parametrize("left", [3.0, 7.4])
def test_a_rest_knows_where_speech_is(left: float):
    rest = unread(WINDOW, answered((0, left), consumed=left))
    assert length_of(rest) == round((10 - left) * RATE)
    assert rest[-1].heard[-1][1] == WINDOW[-1].heard[-1][1]
    assert all(run.start <= a < b <= run.end for run in rest for a, b in run.heard)


def test_short_pauses_are_no_speech_that_is_left():
    # After 3 s of it, a run of 4 s has three sounds of 0.2 s.
    sounds = [(100, 103), (103.2, 103.4), (103.6, 103.8), (103.8, 104)]
    heard = tuple((round(start * RATE), round(end * RATE)) for start, end in sounds)
    window = (replace(speech(100, 104), heard=heard),)
    assert unread(window, answered((0, 3), consumed=4)) == ()
    assert begins_at(unread((speech(100, 104),), answered((0, 3), consumed=4))) == 103
    assert unrecognised(timeline_of(skip(window, 2 * RATE)), answered(consumed=2)) is None


def test_speech_without_words_is_told_with_its_place():
    place = unrecognised(timeline_of(WINDOW), answered(consumed=10))
    assert place == pytest.approx((1.0, 22.8))


def test_a_noise_without_words_and_words_are_not_told():
    short = timeline_of((speech(5, 7.6, padding=0.4),))
    assert unrecognised(short, answered(consumed=2.6)) is None
    assert unrecognised(timeline_of(WINDOW), answered((0, 1), consumed=1)) is None
    silence = timeline_of((speech(5, 15, padding=5),))
    assert unrecognised(silence, answered(consumed=10)) is None


def test_silence_of_which_the_model_says_nothing_is_not_read_twice():
    silence = (speech(0, 30, padding=15),)
    assert keep_whole_words(silence, answered(consumed=1)) == (answered(consumed=1), ())
    heard = (speech(0, 30, padding=5),)
    assert begins_at(keep_whole_words(heard, answered(consumed=1))[1]) == 1


def test_a_cue_that_ends_just_before_the_edge_is_read_again_as_well():
    """The model closes what the window's end cut off some hundredths before it."""
    window = (speech(0, 30),)
    answer = answered((0, 22), (22, 29.98), consumed=29.98)
    kept, rest = keep_whole_words(window, answer)
    assert [one.end for one in kept.segments] == [22]
    assert begins_at(rest) == 22

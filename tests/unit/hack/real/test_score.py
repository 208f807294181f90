"""What is counted as wrong, as lost, and as a fault of a cue or of a time."""

import math
import random

import pytest

from hack.real.align import align
from hack.real.corpus.compose import Phrase
from hack.real.heard import Cue, Heard, Word
from hack.real.score import Score, Truth, cue_faults, lost_runs, score_file, total
from whisperfleet.demo.clips import count_wrong_words

FIRST = Phrase(0.5, 2.0, "The road is closed.")
SECOND = Phrase(4.0, 6.0, "Nobody told the cook about twenty guests.")
TRUTH = Truth((FIRST, SECOND), 7.0)


def heard(*cues):
    return Heard("en", tuple(Cue(*cue) for cue in cues))


RIGHT = heard((0.5, 2.0, "The road is closed."), (4.0, 6.0, "Nobody told the cook about 20 guests"))


def test_what_is_right_has_no_error_whatever_its_spelling():
    score = score_file(TRUTH, RIGHT, RIGHT)
    assert (score.words, score.wrong, score.lost, score.faults) == (11, 0, (), ())
    assert score.cue_errors == (0.0,) * 4
    assert score.language_right


def test_each_kind_of_error_is_counted():
    found = heard(
        (0.5, 2.0, "The old road is shut"), (4.0, 6.0, "Nobody told cook about 20 guests")
    )
    score = score_file(TRUTH, found, RIGHT)
    assert (score.insertions, score.substitutions, score.deletions) == (1, 1, 1)


def test_no_alignment_costs_more_than_the_distance():
    order = random.Random(3)
    for _ in range(50):
        said, other = ([order.choice("abcd") for _ in range(order.randrange(12))] for _ in "ab")
        aligned = align(said, other)
        assert aligned.wrong == count_wrong_words(said, other)
        assert all(said[there] == other[here] for here, there in aligned.matched.items())
        assert len(aligned.matched) + aligned.substitutions + len(aligned.deleted) == len(said)


def test_a_run_is_lost_where_the_other_has_it():
    lost = score_file(TRUTH, heard((4.0, 6.0, "Nobody told the cook about 20 guests.")), RIGHT)
    assert lost.lost == ("the road is closed",)


@pytest.mark.parametrize(
    ("ours", "other", "runs"),
    [
        ("a d", "a b c d", ["b c"]),
        ("a b d", "a b c d", []),
        ("a d", "a x y d", []),
        ("", "a b c d", ["a b c d"]),
        ("b c", "a b c d", []),
        ("a x d", "a b c d", []),
    ],
)
def test_one_word_or_a_word_that_the_other_lacks_is_no_lost_run(ours, other, runs):
    said = "a b c d".split()
    assert list(lost_runs(said, align(said, ours.split()), align(said, other.split()))) == runs


@pytest.mark.parametrize(
    ("cues", "says"),
    [
        ([(0.5, 2.2, "x"), (2.0, 3.0, "y")], "cue 1 ends at 2.200 s, the next begins at 2.000"),
        ([(6.0, 7.2, "x")], "ends after the audio (7.000 s)"),
        ([(2.0, 2.0, "x")], "is empty"),
        ([(1.6, 4.4, "x")], "spans the pause from 2.000 to 4.000 s"),
    ],
)
def test_a_cue_that_breaks_a_rule_is_told(cues, says):
    (fault,) = cue_faults(heard(*cues).cues, TRUTH)
    assert says in fault


@pytest.mark.parametrize(
    "cues",
    [
        [(0.5, 2.0, "x"), (2.0, 6.0, "y")],
        [(1.8, 4.4, "x")],
        [(0.5, 4.2, "x")],
        [(6.0, 7.0, "x")],
    ],
)
def test_cues_that_touch_or_reach_a_little_into_a_pause_break_none(cues):
    assert not list(cue_faults(heard(*cues).cues, TRUTH))


def test_a_short_pause_may_be_spanned_and_talk_at_once_has_none():
    short = Truth((FIRST, Phrase(2.9, 4.0, "b")), 7.0)
    assert not list(cue_faults(heard((0.5, 4.0, "x")).cues, short))
    long_first = Truth((Phrase(0.0, 5.0, "a"), FIRST, Phrase(5.5, 6.0, "b")), 7.0)
    assert not list(cue_faults(heard((0.0, 6.0, "x")).cues, long_first))


def test_times_are_compared_where_a_cue_begins_or_ends_with_a_phrase():
    found = heard(
        (0.75, 1.0, "the road"), (1.0, 5.9, "is closed nobody told the cook about 20 guests")
    )
    assert score_file(TRUTH, found, RIGHT).cue_errors == pytest.approx((0.25, 0.1))


def test_the_times_of_words_are_compared_at_the_edges_of_phrases():
    words = [Word(0.6, 0.9, "The"), Word(0.9, 1.2, "road"), Word(1.2, 1.3, "is")]
    words += [Word(1.3, 2.3, "closed.")]
    found = Heard("en", (Cue(0.6, 2.3, "The road is closed.", tuple(words)),))
    assert score_file(TRUTH, found, RIGHT).word_errors == pytest.approx((0.1, 0.3))


def test_words_in_silence_are_invented_and_another_language_is_wrong():
    silent = score_file(Truth((), 3.0, None), heard((0.0, 1.0, "Thank you.")), heard())
    spoken = score_file(TRUTH, Heard("de", RIGHT.cues), RIGHT)
    both = total([Score((silent,)), Score((spoken,))])
    assert (both.invented, both.languages_wrong, both.words) == (2, 1, 11)
    assert math.isnan(Score((silent,)).cue_error(0.95))


def test_quantiles_are_times_that_were_measured():
    found = heard(
        (0.6, 2.2, "The road is closed"), (4.3, 6.4, "Nobody told the cook about 20 guests")
    )
    score = Score((score_file(TRUTH, found, RIGHT),))
    assert score.cue_error(0.5) == pytest.approx(0.2)
    assert score.cue_error(0.95) == pytest.approx(0.4)

"""What the demo model is held to, on voices that it never heard, through the product's own path."""

from pathlib import Path

import pytest

from hack.evaluation import evaluate, open_transcriber, summarise
from whisperfleet.demo.clips import read_clips
from whisperfleet.segmentation import Segmentation, SegmentationOptions

HELD_OUT = Path(__file__).parents[2] / "data" / "heldout"


def scores_of(segmentation: Segmentation, *kinds: str):
    clips = [clip for clip in read_clips(HELD_OUT) if clip.kind in kinds]
    with open_transcriber("demo", SegmentationOptions(segmentation)) as transcriber:
        return summarise(evaluate(transcriber, clips))


@pytest.fixture(scope="module", params=Segmentation)
def scores(request):
    """The score of each other kind of clip, with each of the segmenters."""
    return scores_of(request.param, "long", "silence", "noise")


def test_words_and_times_of_short_clips():
    # One window each, whatever cuts.
    score = scores_of(Segmentation.PARALLEL, "short")["short"]
    assert_few_words_are_wrong(score, 0.02)
    assert_times_are_right(score)


def test_words_and_times_of_long_clips(scores):
    assert_few_words_are_wrong(scores["long"], 0.06)
    assert_times_are_right(scores["long"])


def assert_few_words_are_wrong(score, most):
    wrong = {s.clip.name: s.heard for s in score.clips if s.wrong_words}
    assert score.words > 300
    assert score.word_error_rate <= most, wrong


def assert_times_are_right(score):
    assert len(score.timestamp_errors) > 100
    assert score.timestamps_in_tolerance >= 0.95, score.timestamp_errors[-10:]


@pytest.mark.parametrize("kind", ["silence", "noise"])
def test_silence_and_noise_have_no_words(scores, kind):
    assert {s.clip.name: s.heard for s in scores[kind].clips if s.heard} == {}
    assert len(scores[kind].clips) >= 3

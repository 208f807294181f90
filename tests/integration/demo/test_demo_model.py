"""What the demo model is held to, on voices that it never heard, through the product's own path."""

from pathlib import Path

import pytest

from hack.evaluation import evaluate, open_transcriber, summarise
from whisperfleet.demo.clips import read_clips
from whisperfleet.segmentation import Segmentation, SegmentationOptions

HELD_OUT = Path(__file__).parents[2] / "data" / "heldout"


@pytest.fixture(scope="module", params=Segmentation)
def scores(request):
    """The score of each kind of clip, with each of the segmenters."""
    with open_transcriber("demo", SegmentationOptions(request.param)) as transcriber:
        return summarise(evaluate(transcriber, read_clips(HELD_OUT)))


@pytest.mark.parametrize(("kind", "most"), [("short", 0.02), ("long", 0.06)])
def test_word_error_rate(scores, kind, most):
    score = scores[kind]
    wrong = {s.clip.name: s.heard for s in score.clips if s.wrong_words}
    assert score.words > 300
    assert score.word_error_rate <= most, wrong


@pytest.mark.parametrize("kind", ["short", "long"])
def test_segment_timestamps(scores, kind):
    score = scores[kind]
    assert len(score.timestamp_errors) > 100
    assert score.timestamps_in_tolerance >= 0.95, score.timestamp_errors[-10:]


@pytest.mark.parametrize("kind", ["silence", "noise"])
def test_silence_and_noise_have_no_words(scores, kind):
    assert {s.clip.name: s.heard for s in scores[kind].clips if s.heard} == {}
    assert len(scores[kind].clips) >= 3

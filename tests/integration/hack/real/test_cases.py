"""Recordings of which words or times were lost once, on real weights.

People who read a novel for LibriVox, and a voice of `hibari-tts`; what is right is what they say.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from hack.evaluation import Transcriber, open_transcriber
from hack.real.models import BASE, TINY, model_folder
from whisperfleet.contract.job import Format, Task
from whisperfleet.contract.result import Transcript
from whisperfleet.demo.clips import words_of
from whisperfleet.engine import WindowRequest
from whisperfleet.formats import render
from whisperfleet.segmentation import Segmentation, SegmentationOptions
from whisperfleet.worker.stopwatch import Stopwatch

CASES = Path(__file__).parents[3] / "data" / "cases"
SEGMENTATIONS = {
    "parallel": SegmentationOptions(Segmentation.PARALLEL),
    "parallel without the detector": SegmentationOptions(Segmentation.PARALLEL, vad=False),
    "sequential": SegmentationOptions(Segmentation.SEQUENTIAL),
}
# The model may hear a word otherwise: what counts is that a sentence is there at all.
LAST_OF_READERS = "rather selfish is to be ill disposed"
LAST_OF_VOICE = "put the plank back on the pile"

Transcribe = Callable[[str, str, SegmentationOptions], Transcript]


@pytest.fixture(scope="module")
def transcribe() -> Iterator[Transcribe]:
    """Words of a case by a model, which is loaded once for each way of cutting."""
    with ExitStack() as opened:

        @cache
        def transcriber(model: str, segmentation: SegmentationOptions) -> Transcriber:
            folder = str(model_folder(model))
            english = WindowRequest("en")
            return opened.enter_context(open_transcriber(folder, segmentation, request=english))

        yield lambda model, name, segmentation: transcriber(model, segmentation)(
            CASES / name, Stopwatch()
        )


@pytest.mark.parametrize("segmentation", SEGMENTATIONS.values(), ids=SEGMENTATIONS)
@pytest.mark.parametrize(
    ("model", "name", "last"),
    [(TINY, "tail-readers.flac", LAST_OF_READERS), (BASE, "tail-voice.flac", LAST_OF_VOICE)],
    ids=["tiny.en, readers", "base, a voice"],
)
def test_what_the_model_did_not_consume_is_recognised_by_a_further_window(
    transcribe: Transcribe, model: str, name: str, last: str, segmentation: SegmentationOptions
):
    transcript = transcribe(model, name, segmentation)
    heard = " ".join(words_of(transcript.text.replace("-", " ")))
    assert heard.endswith(last)
    # Each sentence once: nothing is read twice where windows meet.
    assert heard.count(last) == 1


@pytest.mark.parametrize("segmentation", Segmentation)
def test_no_cue_spans_the_pause_that_was_cut_out(
    transcribe: Transcribe, segmentation: Segmentation
):
    transcript = transcribe(TINY, "pause-of-two-minutes.flac", SegmentationOptions(segmentation))
    assert len(transcript.segments) == 2
    first, second = transcript.segments
    assert (first.start, first.end) == pytest.approx((0.3, 2.9), abs=0.3)
    assert (second.start, second.end) == pytest.approx((123.3, 128.0), abs=0.3)
    subtitles = render(transcript, Task.TRANSCRIBE, Format.SRT)
    assert "00:00:0" in subtitles.splitlines()[1].partition(" --> ")[2]
    assert subtitles.splitlines()[5].startswith("00:02:03")


@pytest.mark.parametrize("segmentation", Segmentation)
@pytest.mark.parametrize("model", [TINY, BASE])
def test_no_cue_spans_a_pause_that_was_kept(
    transcribe: Transcribe, model: str, segmentation: Segmentation
):
    """A reader pauses for 1.2 s; both models take what is said around it for one segment."""
    options = SegmentationOptions(segmentation, vad=False)
    transcript = transcribe(model, "pause-of-a-second.flac", options)
    before = [one for one in transcript.segments if one.start < 6]
    after = [one for one in transcript.segments if one.start >= 6]
    assert before[-1].end == pytest.approx(6.34, abs=0.3)
    assert after[0].start == pytest.approx(7.56, abs=0.3)
    assert before[-1].text.rstrip(".?").endswith("posed")
    assert after[0].text.startswith("He might even have been")

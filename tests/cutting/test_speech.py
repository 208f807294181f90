from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from faster_whisper.vad import VadOptions, get_speech_timestamps

from engine.synthetic import RATE, Samples, babble, blocks, noise, talk
from whisperfleet.cutting.features import to_float
from whisperfleet.cutting.speech import BUFFER_SECONDS, SpeechReader

LIBRARY = VadOptions(min_silence_duration_ms=500)
PARALLEL = VadOptions(min_silence_duration_ms=500, max_speech_duration_s=30.0)


def bounds(reader: SpeechReader) -> list[tuple[int, int]]:
    return [(span.start, span.end) for span in reader]


def librarys(audio: Samples, vad: VadOptions) -> list[tuple[int, int]]:
    return [(one["start"], one["end"]) for one in get_speech_timestamps(to_float(audio), vad)]


@pytest.mark.parametrize("vad", [LIBRARY, PARALLEL], ids=["unbounded", "30 s"])
@pytest.mark.parametrize(
    ("spans", "seconds"),
    [
        ([(1, 4), (5, 9), (9.3, 12), (15, 15.8), (20, 28)], 30),
        ([(0, 50)], 50),
        ([(0, 2), (56, 59.9)], 59.9),
        ([], 20),
    ],
    ids=["several", "one long", "at both ends", "none"],
)
def test_what_fits_the_buffer_is_cut_as_the_library_does(spans, seconds: float, vad: VadOptions):
    audio = talk(spans, seconds)
    reader = SpeechReader(blocks(audio, 4096), vad, 30)
    expected = librarys(audio, vad)
    assert bounds(reader) == expected
    assert bool(expected) == bool(spans)
    assert reader.decoded_samples == len(audio)
    assert reader.speech_samples == sum(end - start for start, end in expected)


@pytest.fixture(scope="module")
def long_audio() -> Samples:
    """Four minutes of talk with pauses of all lengths, and two minutes of pause in the middle."""
    rng = np.random.default_rng(5)
    spans, at = [], 0.5
    while at < 340:
        length = rng.uniform(0.6, 25)
        spans.append((at, min(at + length, 350)))
        at += length + rng.uniform(0.3, 4)
        if 110 < at < 130:
            at += 120
    return talk(spans, 352)


@pytest.mark.parametrize("vad", [LIBRARY, PARALLEL], ids=["unbounded", "30 s"])
def test_a_long_stream_is_cut_much_as_the_library_does(long_audio: Samples, vad: VadOptions):
    found = bounds(SpeechReader(blocks(long_audio), vad, 30))
    assert all(start < end for start, end in found)
    assert all(end <= start for (_, end), (start, _) in pairwise(found))
    ours, theirs = (mask(each, len(long_audio)) for each in (found, librarys(long_audio, vad)))
    # The detector's memory begins anew with each buffer, so borders may move by some frames.
    assert (ours != theirs).mean() < 0.02


def mask(spans: list[tuple[int, int]], length: int) -> np.ndarray:
    marked = np.zeros(length, bool)
    for start, end in spans:
        marked[start:end] = True
    return marked


def test_samples_are_those_of_the_file(long_audio: Samples):
    for span in SpeechReader(blocks(long_audio), PARALLEL, 30):
        np.testing.assert_array_equal(span.samples, long_audio[span.start : span.end])


def test_no_span_is_longer_than_asked(long_audio: Samples):
    vad = VadOptions(min_silence_duration_ms=500, max_speech_duration_s=8.0)
    lengths = [len(span.samples) / RATE for span in SpeechReader(blocks(long_audio), vad, 8)]
    assert max(lengths) <= 8.0


def test_speech_without_a_pause_comes_in_pieces_that_touch():
    # One syllable over and over: the detector hears no pause of half a second in it.
    audio = np.tile(babble(0.5, seed=2), 400)
    found = bounds(SpeechReader(blocks(audio), LIBRARY, 30))
    assert len(found) > 1
    assert found[0][0] < RATE // 2
    assert found[-1][1] == len(audio)
    assert all(end == start for (_, end), (start, _) in pairwise(found))


def test_without_the_detector_everything_comes_in_even_pieces():
    audio = noise(70.5)
    reader = SpeechReader(blocks(audio, 5000), None, 30)
    spans = list(reader)
    assert [(span.start, len(span.samples)) for span in spans] == [
        (0, 30 * RATE),
        (30 * RATE, 30 * RATE),
        (60 * RATE, int(10.5 * RATE)),
    ]
    np.testing.assert_array_equal(np.concatenate([span.samples for span in spans]), audio)
    assert reader.decoded_samples == reader.speech_samples == len(audio)


@pytest.mark.parametrize("vad", [None, PARALLEL], ids=["all", "speech"])
@pytest.mark.parametrize("samples", [0, 1, 159])
def test_hardly_any_audio(samples: int, vad: VadOptions | None):
    reader = SpeechReader(iter([np.zeros(samples, np.int16)]), vad, 30)
    assert sum(len(span.samples) for span in reader) in {0, samples}
    assert reader.decoded_samples == samples


def test_the_stream_is_read_no_further_than_the_buffer(long_audio: Samples):
    pulled = 0

    def stream() -> Iterator[Samples]:
        nonlocal pulled
        for block in blocks(long_audio):
            pulled += len(block)
            yield block

    ahead = [pulled - span.end for span in SpeechReader(stream(), PARALLEL, 30)]
    assert ahead
    assert max(ahead) <= (BUFFER_SECONDS + 1) * RATE

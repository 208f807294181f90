from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise, repeat

import numpy as np
import pytest
from faster_whisper.vad import VadOptions, get_speech_timestamps

from support.engine.synthetic import RATE, Samples, babble, blocks, noise, talk
from whisperfleet.segmentation.pcm import to_float
from whisperfleet.segmentation.speech import BUFFER_SECONDS, Speech, SpeechReader

LIBRARY = VadOptions(min_silence_duration_ms=500)
UNPADDED = VadOptions(min_silence_duration_ms=500, speech_pad_ms=0)
# With the short pauses within a run.
FINE = VadOptions(min_silence_duration_ms=160, speech_pad_ms=0)


def bounds(reader: SpeechReader) -> list[tuple[int, int]]:
    return [(span.start, span.end) for span in reader]


def librarys(audio: Samples, vad: VadOptions = LIBRARY) -> list[tuple[int, int]]:
    return [(one["start"], one["end"]) for one in get_speech_timestamps(to_float(audio), vad)]


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
def test_what_fits_the_buffer_is_cut_as_the_library_does(spans, seconds: float):
    audio = talk(spans, seconds)
    reader = SpeechReader(blocks(audio, 4096), LIBRARY)
    found = list(reader)
    expected = librarys(audio)
    assert [(span.start, span.end) for span in found] == expected
    assert [sound for span in found for sound in span.heard] == librarys(audio, FINE)
    assert not any(span.joined for span in found)
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


def test_a_long_stream_is_cut_much_as_the_library_does(long_audio: Samples):
    spans = list(SpeechReader(blocks(long_audio), LIBRARY))
    found = [(span.start, span.end) for span in spans]
    assert all(start < end for start, end in found)
    assert all(end <= start for (_, end), (start, _) in pairwise(found))
    ours, theirs = (mask(each, len(long_audio)) for each in (found, librarys(long_audio)))
    # The detector's memory begins anew with each buffer, so borders may move by some frames.
    assert (ours != theirs).mean() < 0.02
    heard = mask([sound for span in spans for sound in span.heard], len(long_audio))
    assert (heard != mask(librarys(long_audio, FINE), len(long_audio))).mean() < 0.02
    assert not (heard & ~ours).any()


def test_a_short_pause_divides_no_run_and_is_no_speech():
    audio = talk([(1, 4), (4.35, 7), (7.3, 10)], 12)
    (run,) = SpeechReader(blocks(audio), LIBRARY)
    assert len(run.heard) == 3
    for (_, offset), (onset, _), middle in zip(
        run.heard, run.heard[1:], (4.175, 7.15), strict=False
    ):
        assert offset < middle * RATE < onset


@pytest.mark.parametrize("beyond", [*range(0, 1200, 150), 492])
def test_speech_shortly_before_the_end_ends_as_the_librarys(beyond: int):
    """The library looks once in 512 samples, so for the end of a pause not at the last sample."""
    audio = talk([(1, 4)], 12)
    offset = librarys(audio, UNPADDED)[-1][1]
    audio = audio[: offset + RATE // 2 - 300 + beyond]
    assert bounds(SpeechReader(blocks(audio), LIBRARY)) == librarys(audio)


@pytest.mark.parametrize(("seconds", "runs"), [(0.1, 1), (0.25, 2)], ids=["a knock", "a word"])
def test_less_than_the_least_speech_is_none(seconds: float, runs: int):
    audio = talk([(3, 3 + seconds), (6, 9)], 11)
    assert len(librarys(audio)) == 2
    least = replace(LIBRARY, min_speech_duration_ms=150)
    found = bounds(SpeechReader(blocks(audio), least))
    assert found == librarys(audio, least)
    assert len(found) == runs


def mask(spans: list[tuple[int, int]], length: int) -> np.ndarray:
    marked = np.zeros(length, bool)
    for start, end in spans:
        marked[start:end] = True
    return marked


@pytest.mark.parametrize("keep_pauses", [False, True], ids=["speech", "all"])
def test_samples_are_those_of_the_file(long_audio: Samples, keep_pauses: bool):
    for span in SpeechReader(blocks(long_audio), LIBRARY, keep_pauses=keep_pauses):
        np.testing.assert_array_equal(span.samples, long_audio[span.start : span.end])
        edges = [span.start, *(edge for sound in span.heard for edge in sound), span.end]
        assert edges == sorted(edges)


@pytest.mark.parametrize("keep_pauses", [False, True], ids=["speech", "all"])
def test_speech_without_a_pause_comes_in_parts_that_are_joined(keep_pauses: bool):
    # One syllable over and over: the detector hears no pause of half a second in it.
    audio = np.tile(babble(0.5, seed=2), 400)
    found = list(SpeechReader(blocks(audio), LIBRARY, keep_pauses=keep_pauses))
    assert len(found) > 1
    assert found[0].start < RATE // 2
    assert found[-1].end == len(audio)
    assert all(before.end == after.start for before, after in pairwise(found))
    assert [span.joined for span in found] == [False] + [True] * (len(found) - 1)
    # What is heard goes on over the cuts.
    for before, after in pairwise(found):
        assert after.heard[0][0] - before.heard[-1][1] < RATE // 4


def test_where_pauses_are_kept_nothing_is_left_out_and_every_cut_is_in_a_pause(long_audio: Samples):
    reader = SpeechReader(blocks(long_audio, 5000), LIBRARY, keep_pauses=True)
    found = list(reader)
    assert_all_once(found, long_audio)
    assert reader.decoded_samples == reader.speech_samples == len(long_audio)
    spoken = librarys(long_audio, UNPADDED)
    assert len(found) > len(spoken) / 2
    for span in found[:-1]:
        # Where the detector's memory begins anew, borders move by some frames.
        assert not any(start + 2048 < span.end < end - 2048 for start, end in spoken)
    assert not any(span.joined for span in found)


def assert_all_once(found: list[Speech], audio: Samples) -> None:
    np.testing.assert_array_equal(np.concatenate([span.samples for span in found]), audio)
    assert found[0].start == 0
    assert all(before.end == after.start for before, after in pairwise(found))


def test_a_pause_is_cut_where_it_is_quietest():
    # Two seconds of a pause with a knock everywhere but in its last quarter second.
    audio = talk([(1, 6), (8, 13)], 14)
    knocks = noise(2.0, seed=9) * 8
    audio[6 * RATE : int(7.75 * RATE)] = knocks[: int(1.75 * RATE)]
    first, second = SpeechReader(blocks(audio), LIBRARY, keep_pauses=True)
    assert 7.7 * RATE < first.end < 8 * RATE
    assert (first.end, second.end) == (second.start, len(audio))


def test_a_long_pause_is_a_piece_of_its_own():
    audio = talk([(2, 8), (28, 34)], 40)
    found = list(SpeechReader(blocks(audio), LIBRARY, keep_pauses=True))
    assert_all_once(found, audio)
    pauses = [span for span in found if not span.heard]
    (pause,) = (span for span in pauses if 8 * RATE < span.start < 28 * RATE)
    # A second of it stays with what was said before and after.
    assert pause.start == pytest.approx(9 * RATE, abs=RATE // 4)
    assert pause.end == pytest.approx(27 * RATE, abs=RATE // 4)


def test_silence_is_kept_in_pieces_that_are_not_joined():
    minute = noise(60)
    reader = SpeechReader(repeat(minute, 15), LIBRARY, keep_pauses=True)
    at = 0
    for span in reader:
        assert (span.start, span.heard) == (at, ())
        assert len(span.samples) <= BUFFER_SECONDS * RATE
        assert not span.joined
        at = span.end
    assert at == reader.decoded_samples == 15 * 60 * RATE


@pytest.mark.parametrize("keep_pauses", [False, True], ids=["speech", "all"])
@pytest.mark.parametrize("samples", [0, 1, 159])
def test_hardly_any_audio(samples: int, keep_pauses: bool):
    audio = iter([np.zeros(samples, np.int16)])
    reader = SpeechReader(audio, LIBRARY, keep_pauses=keep_pauses)
    assert sum(len(span.samples) for span in reader) == (samples if keep_pauses else 0)
    assert reader.decoded_samples == samples


@pytest.mark.parametrize("keep_pauses", [False, True], ids=["speech", "all"])
def test_the_stream_is_read_no_further_than_the_buffer(long_audio: Samples, keep_pauses: bool):
    pulled = 0

    def stream() -> Iterator[Samples]:
        nonlocal pulled
        for block in blocks(long_audio):
            pulled += len(block)
            yield block

    reader = SpeechReader(stream(), LIBRARY, keep_pauses=keep_pauses)
    ahead = [pulled - span.end for span in reader]
    assert ahead
    assert max(ahead) <= (BUFFER_SECONDS + 1) * RATE


def test_a_part_knows_what_is_heard_in_it():
    run = Speech(100, np.arange(50, dtype=np.int16), heard=((110, 125), (130, 140)))
    part = run.part(105, 120)
    assert (part.start, part.end, part.heard) == (105, 120, ((110, 120),))
    assert list(part.samples) == list(range(5, 20))
    assert (run.part(100, 120).joined, part.joined) == (False, True)
    assert run.part(112, 133).heard == ((112, 125), (130, 133))
    assert run.part(125, 130).heard == run.part(142, 150).heard == ()

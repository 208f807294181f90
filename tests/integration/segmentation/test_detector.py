"""What the detector is sure of, and what it hears faintly but for long."""

import numpy as np
import pytest
from faster_whisper.vad import get_vad_model

from support.engine.synthetic import babble
from whisperfleet.segmentation.detector import STEP, VadOptions, find_speech, hear, speech_chances
from whisperfleet.segmentation.pcm import to_float

RATE = 16_000
VAD = VadOptions(min_speech_duration_ms=150, min_silence_duration_ms=500)


def chances(*parts: tuple[float, float]) -> list[float]:
    """Return a chance for each step, so many seconds of each."""
    return [chance for seconds, chance in parts for _ in range(round(seconds * RATE / STEP))]


def spans(*parts: tuple[float, float], vad: VadOptions = VAD) -> list[tuple[float, float]]:
    """Return the spans in seconds, to a tenth."""
    steps = chances(*parts)
    found = find_speech(steps, vad, len(steps) * STEP)
    return [(round(one.start / RATE, 1), round(one.end / RATE, 1)) for one in found]


def test_faint_speech_that_lasts_is_speech():
    assert spans((2, 0.02), (3, 0.25), (2, 0.02)) == [(2.0, 5.0)]


@pytest.mark.parametrize(
    ("seconds", "chance"), [(0.9, 0.4), (3, 0.15)], ids=["for a moment", "too faint"]
)
def test_noises_are_none(seconds: float, chance: float):
    assert spans((2, 0.02), (seconds, chance), (2, 0.02)) == []


def test_words_between_faint_ones_are_one_run_with_them():
    heard = ((1, 0.02), (1.2, 0.3), (0.6, 0.9), (0.6, 0.3), (0.6, 0.9), (0.3, 0.3), (2, 0.02))
    assert spans(*heard) == [(1.0, 4.3)]


def test_what_is_faint_around_sure_speech_for_moments_changes_nothing():
    parts = ((1, 0.02), (0.8, 0.3), (2, 0.9), (0.9, 0.3), (1, 0.02))
    assert spans(*parts) == [(1.8, 3.8)]


def test_sure_speech_elsewhere_keeps_its_edges():
    parts = ((1, 0.02), (0.3, 0.3), (2, 0.9), (1, 0.02), (2, 0.3), (1, 0.02), (1, 0.9), (1, 0.02))
    assert spans(*parts) == [(1.3, 3.3), (4.3, 6.2), (7.2, 8.2)]


def test_a_pause_divides_faint_speech_and_a_short_one_is_told():
    steps = chances((1, 0.02), (2, 0.3), (0.3, 0.02), (2, 0.3), (0.7, 0.02), (2, 0.3), (1, 0.02))
    one, two = find_speech(steps, VAD, len(steps) * STEP)
    assert [len(one.heard), len(two.heard)] == [2, 1]


def test_a_threshold_that_is_as_low_hears_no_more():
    parts = ((2, 0.02), (3, 0.19), (2, 0.02))
    low = VadOptions(threshold=0.18, min_silence_duration_ms=500)
    assert spans(*parts, vad=low) == [(2.0, 5.0)]
    assert spans((2, 0.02), (3, 0.17), (2, 0.02), vad=low) == []


def test_a_higher_threshold_asks_more_of_faint_speech_too():
    strict = VadOptions(threshold=0.8, min_silence_duration_ms=500)
    assert spans((2, 0.02), (3, 0.25), (2, 0.02), vad=strict) == []
    assert spans((2, 0.02), (3, 0.35), (2, 0.02), vad=strict) == [(2.0, 5.0)]


def test_nothing_is_no_speech():
    assert hear(np.empty(0, np.int16), VAD) == []


def test_speech_ends_with_the_audio():
    audio = babble(3)
    (span,) = hear(audio, VAD)
    assert span.end == len(audio)


@pytest.mark.parametrize(
    "length", [1, STEP - 1, STEP, 156 * STEP - 30, 156 * STEP, 40 * RATE + 500]
)
def test_asked_in_parts_it_says_what_the_library_hears_at_once(length: int):
    samples = babble(41.0)[:length]
    padded = np.pad(to_float(samples), (0, STEP - length % STEP))
    expected = np.ravel(get_vad_model()(padded)).tolist()
    assert speech_chances(samples) == expected

"""What a transcript gives reason to doubt is said, and nothing else."""

import pytest

from whisperfleet.contract.result import Segment, Transcript
from whisperfleet.worker.doubts import doubts


def a_segment(
    start: float, compression: float = 1.0, logprob: float = -0.2, temperature: float = 0.0
) -> Segment:
    return Segment(
        start=start,
        end=start + 2,
        text="words",
        avg_logprob=logprob,
        no_speech_prob=0.0,
        compression_ratio=compression,
        temperature=temperature,
    )


def a_guess(start: float) -> Segment:
    return a_segment(start, logprob=-1.5, temperature=1.0)


def a_transcript(*segments: Segment, language: str = "en", probability: float = 0.9) -> Transcript:
    return Transcript(
        text="",
        language=language,
        language_probability=probability,
        duration=600.0,
        duration_after_vad=500.0,
        segments=segments,
    )


def messages(transcript: Transcript, asked: str | None = None) -> dict[str, str]:
    return {str(doubt.code): doubt.message for doubt in doubts(transcript, asked)}


def test_a_language_that_was_guessed_is_named_with_its_probability() -> None:
    guessed = a_transcript(a_segment(0), language="nn", probability=0.41)
    told = messages(guessed)
    assert told.keys() == {"language_uncertain"}
    assert "`nn` with a probability of 0.41; name it with `language`" in told["language_uncertain"]


@pytest.mark.parametrize(
    ("transcript", "asked"),
    [
        (a_transcript(a_segment(0), probability=0.5), None),
        (a_transcript(a_segment(0), probability=0.1), "en"),
        (a_transcript(language="und", probability=0.0), None),
    ],
    ids=["likely", "asked for", "silence"],
)
def test_a_language_that_needs_no_check_is_not_doubted(
    transcript: Transcript, asked: str | None
) -> None:
    assert messages(transcript, asked) == {}


@pytest.mark.parametrize(
    ("segment", "doubtful"),
    [
        (a_segment(0, compression=2.5, temperature=1.0), True),
        (a_segment(0, logprob=-1.1, temperature=0.2), True),
        (a_segment(0, compression=2.4, logprob=-1.0, temperature=1.0), False),
        (a_segment(0, temperature=0.8), False),
        (a_segment(0, compression=9.0, logprob=-5.0), False),
    ],
    ids=["repeats", "unlikely", "just good enough", "sampled and good", "beam search"],
)
def test_words_are_doubted_that_fail_after_every_fallback(segment: Segment, doubtful: bool) -> None:
    assert ("words_uncertain" in messages(a_transcript(segment))) is doubtful


def test_doubtful_words_are_told_from_when_to_when() -> None:
    one_run = a_transcript(a_segment(0), a_guess(2), a_guess(4), a_segment(6))
    assert "the words from 2.0 to 6.0 s are a guess" in messages(one_run)["words_uncertain"]


def test_many_doubtful_places_are_one_warning() -> None:
    segments = [a_guess(2 * i) if i % 2 else a_segment(2 * i) for i in range(20)]
    (told,) = doubts(a_transcript(*segments), None)
    assert "from 2.0 to 4.0 s, from 6.0 to 8.0 s, from 10.0 to 12.0 s and in 7 more places" in (
        told.message
    )


def test_speech_of_which_no_words_came_is_told_once_with_its_first_places():
    places = [(1.0, 5.0), (20.0, 25.0), (40.0, 43.0), (60.0, 63.0), (80.0, 83.0)]
    (doubt,) = doubts(a_transcript(), None, places)
    assert doubt.code == "words_left_out"
    assert "from 1.0 to 5.0 s, from 20.0 to 25.0 s, from 40.0 to 43.0 s and in 2 more places" in (
        doubt.message
    )
    assert list(doubts(a_transcript(a_segment(0)), None, [])) == []

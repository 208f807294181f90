"""The words of several channels become one transcript in order of time."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperfleet.contract.job import channel_name
from whisperfleet.contract.result import Segment, Transcript
from whisperfleet.contract.warnings import ResultWarning, WarningCode
from whisperfleet.worker.channels import Heard, merge

CUT_SHORT = ResultWarning(code=WarningCode.CUT_SHORT, message="the file ends early; send all of it")
UNSURE = ResultWarning(code=WarningCode.LANGUAGE_UNCERTAIN, message="it may be Dutch; name it")


def a_segment(start: float, text: str, end: float | None = None) -> Segment:
    return Segment(
        start=start,
        end=start + 1 if end is None else end,
        text=text,
        avg_logprob=-0.2,
        no_speech_prob=0.0,
        compression_ratio=1.0,
        temperature=0.0,
    )


def a_channel(
    *segments: Segment,
    language: str = "en",
    speech: float = 1.0,
    warnings: tuple[ResultWarning, ...] = (),
) -> Heard:
    transcript = Transcript(
        text=" ".join(segment.text for segment in segments),
        language=language,
        language_probability=0.9,
        duration=60.0,
        duration_after_vad=speech,
        segments=segments,
    )
    return Heard(transcript=transcript, warnings=warnings)


def test_speakers_who_take_turns_do_so_in_the_transcript() -> None:
    merged = merge(
        [
            a_channel(a_segment(0, "hello"), a_segment(4, "fine"), speech=2.5),
            a_channel(a_segment(2, "how are you"), a_segment(6, "good"), speech=4.25),
        ]
    ).transcript
    assert [(s.channel, s.text) for s in merged.segments] == [
        ("left", "hello"),
        ("right", "how are you"),
        ("left", "fine"),
        ("right", "good"),
    ]
    assert merged.text == "hello how are you fine good"
    assert (merged.duration, merged.duration_after_vad) == (60.0, 6.75)


def test_who_begins_at_once_comes_in_the_order_of_the_channels() -> None:
    channels = [a_channel(a_segment(1, text)) for text in ("a", "b", "c", "d")]
    merged = merge(channels).transcript
    assert [s.channel for s in merged.segments] == ["left", "right", "3", "4"]


@pytest.mark.parametrize(
    ("languages", "text"),
    [(("ja", "zh"), "ab"), (("ja", "en"), "a b"), (("de", "en"), "a b")],
    ids=["without spaces", "mixed", "with spaces"],
)
def test_words_are_joined_as_their_languages_are_written(
    languages: tuple[str, str], text: str
) -> None:
    channels = [
        a_channel(a_segment(i, word), language=language)
        for i, (word, language) in enumerate(zip("ab", languages, strict=True))
    ]
    assert merge(channels).transcript.text == text


def test_the_language_is_that_of_the_channel_with_the_most_speech() -> None:
    quiet, chatty = a_channel(language="und", speech=0.0), a_channel(a_segment(0, "ja"), speech=9)
    chatty = chatty.model_copy(
        update={"transcript": chatty.transcript.model_copy(update={"language": "ja"})}
    )
    assert merge([quiet, chatty]).transcript.language == "ja"
    assert merge([chatty, quiet]).transcript.language == "ja"


def test_a_channel_without_words_has_no_part() -> None:
    merged = merge([a_channel(), a_channel(a_segment(3, "alone"))]).transcript
    assert [(s.channel, s.text) for s in merged.segments] == [("right", "alone")]
    assert merge([a_channel(), a_channel()]).transcript.text == ""


def test_one_channel_stays_as_it_is_and_says_so() -> None:
    only = a_channel(a_segment(0, "hello"), warnings=(CUT_SHORT,))
    merged = merge([only])
    assert merged.transcript == only.transcript
    assert [warning.code for warning in merged.warnings] == ["cut_short", "channel_missing"]


def test_warnings_of_the_file_come_once_and_others_name_their_channel() -> None:
    both = a_channel(warnings=(CUT_SHORT,))
    merged = merge([both, a_channel(warnings=(CUT_SHORT, UNSURE)), both])
    assert [warning.message for warning in merged.warnings] == [
        CUT_SHORT.message,
        f"channel right: {UNSURE.message}",
    ]


SEGMENTS = st.lists(st.floats(0, 59), max_size=8).map(
    lambda starts: [a_segment(start, f"w{i}") for i, start in enumerate(sorted(starts))]
)


@given(st.lists(SEGMENTS, min_size=2, max_size=4))
def test_no_word_is_lost_and_each_channel_keeps_its_order(channels: list[list[Segment]]) -> None:
    merged = merge([a_channel(*segments) for segments in channels]).transcript
    for index, segments in enumerate(channels):
        own = [s for s in merged.segments if s.channel == channel_name(index)]
        assert [s.model_copy(update={"channel": None}) for s in own] == segments
    assert sum(map(len, channels)) == len(merged.segments)
    assert all(one.start <= other.start for one, other in pairwise(merged.segments))

"""Every rendering reads back as what went in."""

import html
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from whisperfleet.contract.job import Format, Task
from whisperfleet.contract.result import Segment, Transcript, Word
from whisperfleet.formats import render

_CLOCK = re.compile(r"(\d{2,}):([0-5]\d):([0-5]\d)[.,](\d{3})")


def a_segment(
    start: float,
    end: float,
    text: str,
    words: tuple[Word, ...] | None = None,
    channel: str | None = None,
) -> Segment:
    return Segment(
        start=start,
        end=end,
        text=text,
        words=words,
        channel=channel,
        avg_logprob=-0.25,
        no_speech_prob=0.01,
        compression_ratio=1.1,
        temperature=0.0,
    )


def a_transcript(*segments: Segment) -> Transcript:
    return Transcript(
        text="".join(segment.text for segment in segments),
        language="en",
        language_probability=0.9,
        duration=segments[-1].end if segments else 1.0,
        duration_after_vad=1.0,
        segments=segments,
    )


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    """Segments in order of time, as long as a day, with any text that JSON can carry."""
    texts = st.text(st.characters(exclude_categories=["Cs"]))
    gaps = st.floats(0, 7200)
    segments, at = [], 0.0
    for text in draw(st.lists(texts, max_size=12)):
        start = at + draw(gaps)
        at = start + draw(gaps)
        segments.append(a_segment(start, at, text))
    return a_transcript(*segments)


def seconds(clock: str) -> float:
    match = _CLOCK.fullmatch(clock)
    assert match, clock
    hours, minutes, whole, thousandths = map(int, match.groups())
    return hours * 3600 + minutes * 60 + whole + thousandths / 1000


def read_cues(blocks: list[str], point: str) -> list[tuple[float, float, str]]:
    cues = []
    for block in blocks:
        times, text = block.rstrip("\n").split("\n")
        start, end = times.split(" --> ")
        assert point in start
        assert point in end
        cues.append((seconds(start), seconds(end), text))
    return cues


def read_srt(document: str) -> list[tuple[float, float, str]]:
    blocks = re.split(r"\n\n", document) if document else []
    numbers, rest = [], []
    for block in blocks:
        number, _, cue = block.partition("\n")
        numbers.append(int(number))
        rest.append(cue)
    assert numbers == list(range(1, len(blocks) + 1))
    return read_cues(rest, ",")


def read_vtt(document: str) -> list[tuple[float, float, str]]:
    header, *blocks = re.split(r"\n\n", document.rstrip("\n"))
    assert header == "WEBVTT"
    cues = read_cues(blocks, ".")
    assert not any({"<", ">"} & set(text) for _, _, text in cues)
    return [(start, end, html.unescape(text)) for start, end, text in cues]


def expected_cues(transcript: Transcript) -> list[tuple[float, float, str]]:
    return [
        (segment.start, segment.end, " ".join(segment.text.split()))
        for segment in transcript.segments
        if segment.text.split()
    ]


@given(transcripts())
def test_srt_reads_back(transcript: Transcript) -> None:
    cues = read_srt(render(transcript, Task.TRANSCRIBE, Format.SRT))
    expected = [(s, e, text.replace("-->", "->")) for s, e, text in expected_cues(transcript)]
    assert [text for _, _, text in cues] == [text for _, _, text in expected]
    check_times(cues, expected)


@given(transcripts())
def test_vtt_reads_back(transcript: Transcript) -> None:
    cues = read_vtt(render(transcript, Task.TRANSCRIBE, Format.VTT))
    # What is no reference in the text must not become one: html.unescape undoes just our escaping.
    expected = expected_cues(transcript)
    assert [text for _, _, text in cues] == [text for _, _, text in expected]
    check_times(cues, expected)


def check_times(
    cues: list[tuple[float, float, str]], expected: list[tuple[float, float, str]]
) -> None:
    starts = [start for start, _, _ in cues]
    assert starts == sorted(starts)
    for (start, end, _), (true_start, true_end, _) in zip(cues, expected, strict=True):
        assert start < end
        assert start == pytest.approx(true_start, abs=0.0006)
        assert end == pytest.approx(true_end, abs=0.0016)


@given(transcripts())
def test_txt_has_a_line_for_each_segment_with_words(transcript: Transcript) -> None:
    lines = render(transcript, Task.TRANSCRIBE, Format.TXT).removesuffix("\n").split("\n")
    assert [line for line in lines if line] == [text for _, _, text in expected_cues(transcript)]


@given(transcripts())
def test_json_has_the_text(transcript: Transcript) -> None:
    document = json.loads(render(transcript, Task.TRANSCRIBE, Format.JSON))
    assert document == {"text": transcript.text.strip()}


def test_srt_by_example() -> None:
    transcript = a_transcript(
        a_segment(0.0, 1.5, " Hello world."),
        a_segment(2.0, 2.0, "  "),
        a_segment(3661.0004, 3662.9996, " a --> b\n\nc"),
    )
    assert render(transcript, Task.TRANSCRIBE, Format.SRT) == (
        "1\n00:00:00,000 --> 00:00:01,500\nHello world.\n"
        "\n"
        "2\n01:01:01,000 --> 01:01:03,000\na -> b c\n"
    )


def test_vtt_by_example() -> None:
    transcript = a_transcript(
        a_segment(0.25, 1.5, " Q&A <b>"), a_segment(360_000.0, 360_001.0, " late")
    )
    assert render(transcript, Task.TRANSCRIBE, Format.VTT) == (
        "WEBVTT\n"
        "\n"
        "00:00:00.250 --> 00:00:01.500\nQ&amp;A &lt;b&gt;\n"
        "\n"
        "100:00:00.000 --> 100:00:01.000\nlate\n"
    )


@pytest.mark.parametrize(
    ("format_", "empty"), [(Format.SRT, ""), (Format.VTT, "WEBVTT\n"), (Format.TXT, "")]
)
def test_silence_has_no_cue(format_: Format, empty: str) -> None:
    assert render(a_transcript(), Task.TRANSCRIBE, format_) == empty


def test_verbose_json_has_the_shape_of_openai() -> None:
    words = (Word(start=0.1, end=0.5, text=" Hello", probability=0.9),)
    transcript = a_transcript(
        a_segment(0.1, 0.5, " Hello", words), a_segment(1.0, 2.0, " there", ())
    )
    assert json.loads(render(transcript, Task.TRANSLATE, Format.VERBOSE_JSON)) == {
        "task": "translate",
        "language": "en",
        "duration": 2.0,
        "text": "Hello there",
        "segments": [
            {
                "id": 0,
                "seek": 0,
                "start": 0.1,
                "end": 0.5,
                "text": " Hello",
                "tokens": [],
                "temperature": 0.0,
                "avg_logprob": -0.25,
                "compression_ratio": 1.1,
                "no_speech_prob": 0.01,
            },
            {
                "id": 1,
                "seek": 0,
                "start": 1.0,
                "end": 2.0,
                "text": " there",
                "tokens": [],
                "temperature": 0.0,
                "avg_logprob": -0.25,
                "compression_ratio": 1.1,
                "no_speech_prob": 0.01,
            },
        ],
        "words": [{"word": "Hello", "start": 0.1, "end": 0.5}],
    }


@pytest.mark.parametrize("word_timestamps", [True, False])
def test_verbose_json_has_words_only_where_they_were_asked_for(word_timestamps: bool) -> None:
    silence, speech = a_transcript(), a_transcript(a_segment(0, 1, "a"))
    for transcript in (silence, speech):
        document = render(
            transcript, Task.TRANSCRIBE, Format.VERBOSE_JSON, word_timestamps=word_timestamps
        )
        assert json.loads(document).get("words") == ([] if word_timestamps else None)


class OpenAiWord(BaseModel):
    """The required fields of `TranscriptionWord` in openai-python 1.x, as types of JSON."""

    model_config = ConfigDict(strict=True)

    start: float
    end: float
    word: str


class OpenAiSegment(BaseModel):
    """`TranscriptionSegment` of the same."""

    model_config = ConfigDict(strict=True)

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float


class OpenAiVerbose(BaseModel):
    """`TranscriptionVerbose` of the same."""

    model_config = ConfigDict(strict=True)

    duration: float
    language: str
    text: str
    segments: list[OpenAiSegment] | None = None
    words: list[OpenAiWord] | None = None


@given(transcripts())
def test_verbose_json_is_what_the_client_of_openai_reads(transcript: Transcript) -> None:
    document = render(transcript, Task.TRANSCRIBE, Format.VERBOSE_JSON, word_timestamps=True)
    read = OpenAiVerbose.model_validate_json(document)
    assert [s.text for s in read.segments or ()] == [s.text for s in transcript.segments]
    assert read.words == []


def two_channels() -> Transcript:
    return a_transcript(
        a_segment(0.0, 2.0, " Hello?", channel="left"),
        a_segment(1.5, 3.0, " Q&A", channel="right"),
        a_segment(2.5, 3.0, " hm", channel="3"),
    )


def test_subtitles_say_whose_words_they_are() -> None:
    assert render(two_channels(), Task.TRANSCRIBE, Format.VTT) == (
        "WEBVTT\n"
        "\n00:00:00.000 --> 00:00:02.000\n<v left>Hello?\n"
        "\n00:00:01.500 --> 00:00:03.000\n<v right>Q&amp;A\n"
        "\n00:00:02.500 --> 00:00:03.000\n<v 3>hm\n"
    )
    assert render(two_channels(), Task.TRANSCRIBE, Format.SRT) == (
        "1\n00:00:00,000 --> 00:00:02,000\nleft: Hello?\n"
        "\n2\n00:00:01,500 --> 00:00:03,000\nright: Q&A\n"
        "\n3\n00:00:02,500 --> 00:00:03,000\n3: hm\n"
    )


def test_text_and_json_say_whose_words_they_are() -> None:
    text = render(two_channels(), Task.TRANSCRIBE, Format.TXT)
    assert text == "left: Hello?\nright: Q&A\n3: hm\n"
    document = json.loads(render(two_channels(), Task.TRANSCRIBE, Format.VERBOSE_JSON))
    assert [segment["channel"] for segment in document["segments"]] == ["left", "right", "3"]

"""The renderings of a transcript: JSON in two lengths, plain text and the two subtitle formats."""

import html
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from whisperfleet.contract.job import Format, Task
from whisperfleet.contract.result import Segment, Transcript

__all__ = ["render"]


def render(
    transcript: Transcript,
    task: Task | str,
    format: Format,  # noqa: A002 - the field's name
    *,
    word_timestamps: bool = False,
) -> str:
    """Return the transcript in one of the formats that a job can ask for.

    ``json`` and ``verbose_json`` have the shapes of OpenAI's transcription API, with the language
    as a code. `seek` is 0 and `tokens` is empty there: they belong to the windows of a decoder.
    `words` is there when a segment has words or the job asked for `word_timestamps`, so that
    silence has an empty list. ``txt`` has a line for each segment. ``srt`` and ``vtt`` have a cue
    for each segment that has words; a long line stays whole, because players break lines to fit
    their screen.

    Where segments name their channel, so do their lines and cues: before a colon, and as the voice
    of a cue in ``vtt``. Cues of different channels may overlap, as people do who speak at once.
    """
    match format:
        case Format.JSON:
            return json.dumps({"text": transcript.text.strip()}, ensure_ascii=False)
        case Format.VERBOSE_JSON:
            return _render_verbose_json(transcript, task, word_timestamps)
        case Format.TXT:
            return "".join(f"{_named(cue)}\n" for cue in _cues(transcript.segments))
        case Format.SRT:
            return _render_srt(transcript)
        case Format.VTT:
            return _render_vtt(transcript)


@dataclass(frozen=True, slots=True)
class _Cue:
    """A line to read; times in whole milliseconds."""

    start: int
    end: int
    text: str
    channel: str | None


def _render_verbose_json(transcript: Transcript, task: Task | str, word_timestamps: bool) -> str:
    document: dict[str, Any] = {
        "task": str(task),
        "language": transcript.language,
        "duration": transcript.duration,
        "text": transcript.text.strip(),
        "segments": [_verbose_segment(i, s) for i, s in enumerate(transcript.segments)],
    }
    if word_timestamps or any(segment.words is not None for segment in transcript.segments):
        document["words"] = [
            {"word": word.text.strip(), "start": word.start, "end": word.end}
            for segment in transcript.segments
            for word in segment.words or ()
        ]
    return json.dumps(document, ensure_ascii=False)


def _verbose_segment(index: int, segment: Segment) -> dict[str, Any]:
    channel = {} if segment.channel is None else {"channel": segment.channel}
    return {
        "id": index,
        "seek": 0,
        "start": segment.start,
        "end": segment.end,
        "text": segment.text,
        "tokens": [],
        "temperature": segment.temperature,
        "avg_logprob": segment.avg_logprob,
        "compression_ratio": segment.compression_ratio,
        "no_speech_prob": segment.no_speech_prob,
        **channel,
    }


def _render_srt(transcript: Transcript) -> str:
    blocks = (
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n"
        f"{_named(cue).replace('-->', '->')}\n"
        for number, cue in enumerate(_cues(transcript.segments), start=1)
    )
    return "\n".join(blocks)


def _render_vtt(transcript: Transcript) -> str:
    blocks = (
        f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{_voiced(cue)}\n"
        for cue in _cues(transcript.segments)
    )
    return "\n".join(("WEBVTT\n", *blocks))


def _named(cue: _Cue) -> str:
    return cue.text if cue.channel is None else f"{cue.channel}: {cue.text}"


def _voiced(cue: _Cue) -> str:
    text = html.escape(cue.text, quote=False)
    # WebVTT, 4.2.2: the end tag may be left out where the voice speaks the whole cue.
    return text if cue.channel is None else f"<v {html.escape(cue.channel, quote=False)}>{text}"


def _cues(segments: Iterable[Segment]) -> Iterator[_Cue]:
    """Yield a cue for every segment with words."""
    for segment in segments:
        # A line break inside a cue could end it: an empty line is what separates cues.
        if text := " ".join(segment.text.split()):
            start = round(segment.start * 1000)
            # WebVTT wants the end after the start; both may round to the same millisecond.
            yield _Cue(start, max(round(segment.end * 1000), start + 1), text, segment.channel)


def _clock(milliseconds: int, point: str) -> str:
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{milliseconds:03}"

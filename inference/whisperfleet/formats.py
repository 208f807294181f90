"""The renderings of a transcript: JSON in two lengths, plain text and the two subtitle formats."""

import html
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from whisperfleet.contract.job import Format, Task
from whisperfleet.contract.result import Segment, Transcript

__all__ = ["render"]


def render(transcript: Transcript, task: Task, format: Format) -> str:  # noqa: A002 - the field's name
    """Return the transcript in one of the formats that a job can ask for.

    ``json`` and ``verbose_json`` have the shapes of OpenAI's transcription API, with the language
    as a code and without `seek` and `tokens`, which belong to the windows of a decoder. ``txt``
    has a line for each segment. ``srt`` and ``vtt`` have a cue for each segment that has words;
    a long line stays whole, because players break lines to fit their screen.
    """
    return _RENDERERS[format](transcript, task)


def _render_json(transcript: Transcript, _task: Task) -> str:
    return json.dumps({"text": transcript.text.strip()}, ensure_ascii=False)


def _render_verbose_json(transcript: Transcript, task: Task) -> str:
    document: dict[str, Any] = {
        "task": task.value,
        "language": transcript.language,
        "duration": transcript.duration,
        "text": transcript.text.strip(),
        "segments": [_verbose_segment(i, s) for i, s in enumerate(transcript.segments)],
    }
    if any(segment.words is not None for segment in transcript.segments):
        document["words"] = [
            {"word": word.text.strip(), "start": word.start, "end": word.end}
            for segment in transcript.segments
            for word in segment.words or ()
        ]
    return json.dumps(document, ensure_ascii=False)


def _verbose_segment(index: int, segment: Segment) -> dict[str, Any]:
    return {
        "id": index,
        "start": segment.start,
        "end": segment.end,
        "text": segment.text,
        "temperature": segment.temperature,
        "avg_logprob": segment.avg_logprob,
        "compression_ratio": segment.compression_ratio,
        "no_speech_prob": segment.no_speech_prob,
    }


def _render_txt(transcript: Transcript, _task: Task) -> str:
    return "".join(f"{text}\n" for _, _, text in _cues(transcript.segments))


def _render_srt(transcript: Transcript, _task: Task) -> str:
    blocks = (
        f"{number}\n{_clock(start, ',')} --> {_clock(end, ',')}\n{text.replace('-->', '->')}\n"
        for number, (start, end, text) in enumerate(_cues(transcript.segments), start=1)
    )
    return "\n".join(blocks)


def _render_vtt(transcript: Transcript, _task: Task) -> str:
    blocks = (
        f"{_clock(start, '.')} --> {_clock(end, '.')}\n{html.escape(text, quote=False)}\n"
        for start, end, text in _cues(transcript.segments)
    )
    return "\n".join(("WEBVTT\n", *blocks))


def _cues(segments: Iterable[Segment]) -> Iterator[tuple[int, int, str]]:
    """Yield (start, end, text) of every segment with words, times in whole milliseconds."""
    for segment in segments:
        # A line break inside a cue could end it: an empty line is what separates cues.
        if text := " ".join(segment.text.split()):
            start = round(segment.start * 1000)
            # WebVTT wants the end after the start; both may round to the same millisecond.
            yield start, max(round(segment.end * 1000), start + 1), text


def _clock(milliseconds: int, point: str) -> str:
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{milliseconds:03}"


_RENDERERS: dict[Format, Callable[[Transcript, Task], str]] = {
    Format.JSON: _render_json,
    Format.VERBOSE_JSON: _render_verbose_json,
    Format.TXT: _render_txt,
    Format.SRT: _render_srt,
    Format.VTT: _render_vtt,
}

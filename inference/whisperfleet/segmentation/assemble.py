"""From the words of the windows to one transcript: pure."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from whisperfleet.contract.languages import UNSPACED
from whisperfleet.contract.result import Segment, Transcript, Word
from whisperfleet.engine.interface import WindowResult, WindowSegment, WindowWord
from whisperfleet.segmentation.segmenter import Answered, Segmenter
from whisperfleet.segmentation.timeline import Timeline

__all__ = ["UNDETERMINED", "assemble"]

# Where the model's own times leave a text none: nobody says a word in less.
_LEAST_CUE_SECONDS = 0.1

# ISO 639-2: the language of audio in which nothing was said.
UNDETERMINED = "und"


def assemble(answered: Sequence[Answered], segmenter: Segmenter) -> Transcript:
    """Return the transcript of a job whose windows are all answered, the first of them first.

    Times are in seconds of the file, to the millisecond: no segment ends after the next one begins
    or after the file. The language is that of the first window; without any, what was asked for, or
    `und`.
    """
    duration = segmenter.duration
    placed = (
        _segment(segment, one.result, one.timeline, duration)
        for one in sorted(answered, key=lambda one: one.timeline.start)
        for segment in one.result.segments
    )
    segments = _in_order(placed, round(duration, 3))
    first = answered[0].result if answered else None
    language = first.language if first else segmenter.language or UNDETERMINED
    return Transcript(
        text=_join((segment.text for segment in segments), language),
        language=language,
        language_probability=first.language_probability if first else 0.0,
        duration=round(duration, 3),
        duration_after_vad=round(segmenter.duration_after_vad, 3),
        segments=segments,
    )


def _segment(
    segment: WindowSegment, result: WindowResult, timeline: Timeline, duration: float
) -> Segment:
    words = None
    if segment.words is not None:
        words = tuple(_word(word, timeline, duration) for word in segment.words)
    if words:
        start, end = words[0].start, words[-1].end
    else:
        start, end = timeline.locate_segment(segment.start, segment.end)
    return Segment(
        start=_within(start, duration),
        end=_within(end, duration),
        text=segment.text.strip(),
        words=words,
        avg_logprob=result.avg_logprob,
        no_speech_prob=result.no_speech_prob,
        compression_ratio=result.compression_ratio,
        temperature=result.temperature,
    )


def _word(word: WindowWord, timeline: Timeline, duration: float) -> Word:
    start, end = timeline.locate_word(word.start, word.end)
    return Word(
        start=_within(start, duration),
        end=_within(end, duration),
        text=word.text.strip(),
        probability=word.probability,
    )


def _in_order(segments: Iterable[Segment], duration: float) -> tuple[Segment, ...]:
    """Return segments, none empty nor ending after the next begins; words keep within theirs."""
    ordered = sorted(segments, key=lambda segment: segment.start)
    starts = [segment.start for segment in ordered]
    ends = [segment.end for segment in ordered]
    for index, (before, after) in enumerate(pairwise(ordered)):
        is_empty_at_end = ends[index + 1] == starts[index + 1] <= ends[index]
        if starts[index + 1] <= starts[index] or is_empty_at_end:
            # Both were found in one sound: they share it by the length of their texts.
            length = max(ends[index], ends[index + 1]) - starts[index]
            share = len(before.text) / (len(before.text) + len(after.text))
            starts[index + 1] = round(starts[index] + share * length, 3)
            ends[index] = starts[index + 1]
            ends[index + 1] = max(ends[index + 1], starts[index + 1])
        ends[index] = min(ends[index], starts[index + 1])
    _lengthen(starts, ends, duration)
    return tuple(map(_bounded, ordered, starts, ends))


def _lengthen(starts: list[float], ends: list[float], duration: float) -> None:
    """Give cues without a length a little of the time around them: players do not show them."""
    for index, (start, end) in enumerate(zip(starts, ends, strict=True)):
        if end > start:
            continue
        before = ends[index - 1] if index else 0.0
        after = starts[index + 1] if index + 1 < len(starts) else duration
        ends[index] = round(min(start + _LEAST_CUE_SECONDS, after), 3)
        starts[index] = round(max(before, min(start, ends[index] - _LEAST_CUE_SECONDS)), 3)


def _bounded(segment: Segment, start: float, end: float) -> Segment:
    end = max(start, end)
    if (start, end) == (segment.start, segment.end):
        # Hours have thousands of them, and a copy of each would be in memory beside it.
        return segment
    words = segment.words
    if words is not None:
        words = tuple(
            word.model_copy(
                update={
                    "start": min(max(word.start, start), end),
                    "end": min(max(word.end, start), end),
                }
            )
            for word in words
        )
    return segment.model_copy(update={"start": start, "end": end, "words": words})


def _within(seconds: float, duration: float) -> float:
    return round(min(seconds, duration), 3)


def _join(texts: Iterable[str], language: str) -> str:
    return ("" if language in UNSPACED else " ").join(texts)

"""From the words of the windows to one transcript: pure."""

from collections.abc import Iterable, Sequence

from whisperfleet.contract.result import Segment, Transcript, Word
from whisperfleet.cutting.clock import Clock
from whisperfleet.cutting.cutter import Cutter
from whisperfleet.engine.seam import WindowResult, WindowSegment, WindowWord

__all__ = ["UNDETERMINED", "assemble"]

# ISO 639-2: the language of audio in which nothing was said.
UNDETERMINED = "und"

# Languages that are written without spaces, as faster-whisper's `split_to_word_tokens` has them.
_UNSPACED = frozenset({"zh", "ja", "th", "lo", "my", "yue"})


def assemble(answered: Sequence[tuple[Clock, WindowResult]], cutter: Cutter) -> Transcript:
    """Return the transcript of a job whose windows are all answered, in the order they were cut.

    Times are in seconds of the file, to the millisecond, and never after its end. The language is
    that of the first window; without any, what was asked for, or `und`.
    """
    duration = cutter.duration
    segments = tuple(
        _segment(segment, result, clock, duration)
        for clock, result in answered
        for segment in result.segments
    )
    first = answered[0][1] if answered else None
    language = first.language if first else cutter.language or UNDETERMINED
    return Transcript(
        text=_join((segment.text for segment in segments), language),
        language=language,
        language_probability=first.language_probability if first else 0.0,
        duration=round(duration, 3),
        duration_after_vad=round(cutter.duration_after_vad, 3),
        segments=segments,
    )


def _segment(
    segment: WindowSegment, result: WindowResult, clock: Clock, duration: float
) -> Segment:
    words = None
    start, end = clock.locate_segment(segment.start, segment.end)
    if segment.words is not None:
        words = tuple(_word(word, clock, duration) for word in segment.words)
    if words:
        start, end = words[0].start, words[-1].end
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


def _word(word: WindowWord, clock: Clock, duration: float) -> Word:
    start, end = clock.locate_word(word.start, word.end)
    return Word(
        start=_within(start, duration),
        end=_within(end, duration),
        text=word.text.strip(),
        probability=word.probability,
    )


def _within(seconds: float, duration: float) -> float:
    return round(min(seconds, duration), 3)


def _join(texts: Iterable[str], language: str) -> str:
    return ("" if language in _UNSPACED else " ").join(texts)

"""From the tokens of a window to its segments and words."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_end

from whisperfleet.engine.decoding import Passage
from whisperfleet.engine.forward import to_model
from whisperfleet.engine.options import DecodingOptions
from whisperfleet.engine.seam import FRAMES_PER_SECOND, Window, WindowSegment, WindowWord
from whisperfleet.engine.words import WordKeepingModel

__all__ = ["split"]

# Timestamps are so inexact: a segment that reaches no further over a seam has no word behind it.
_SEAM_SECONDS = 0.3


def split(
    model: WordKeepingModel,
    options: DecodingOptions,
    window: Window,
    passage: Passage,
    tokens: Sequence[int],
) -> tuple[tuple[WindowSegment, ...], int]:
    """Return the segments of the tokens, and how many frames of the window they consumed.

    The words of a window that wants them are aligned for it alone: the library moves words by what
    was said before, so a batch of windows is not the same as one after the other. So are those of a
    window with a segment that spans a seam, which is divided there.
    """
    pieces, consumed, ends_in_silence = model._split_segments_by_timestamps(  # noqa: SLF001
        tokenizer=passage.tokenizer,
        tokens=list(tokens),
        time_offset=0.0,
        segment_size=window.frames,
        segment_duration=window.seconds,
        seek=0,
    )
    segments = [_segment(piece, passage.tokenizer) for piece in pieces]
    asked = window.request.word_timestamps
    spanning = [_spans_a_seam(segment, window.seams) for segment in segments]
    if asked or any(spanning):
        _align(model, options, window, passage, pieces)
        last_word_end = get_end(pieces)
        if asked and not ends_in_silence and last_word_end is not None and last_word_end > 0:
            consumed = round(last_word_end * FRAMES_PER_SECOND)
        aligned = [_segment(piece, passage.tokenizer) for piece in pieces]
        segments = [
            part
            for plain, worded, divided in zip(segments, aligned, spanning, strict=True)
            for part in (
                _divide(worded, window.seams) if divided else (worded if asked else plain,)
            )
        ]
        if not asked:
            segments = [replace(segment, words=None) for segment in segments]
    kept = (one for one in segments if one.start != one.end and one.text.strip())
    return tuple(kept), consumed


def _align(
    model: WordKeepingModel,
    options: DecodingOptions,
    window: Window,
    passage: Passage,
    pieces: list[dict[str, Any]],
) -> None:
    """Add `words` to each piece."""
    model.add_word_timestamps(
        [pieces],
        passage.tokenizer,
        to_model([passage.encoded]),
        window.frames,
        options.prepend_punctuations,
        options.append_punctuations,
        last_speech_timestamp=window.last_speech_end,
    )


def _spans_a_seam(segment: WindowSegment, seams: Iterable[float]) -> bool:
    return any(segment.start + _SEAM_SECONDS < seam < segment.end - _SEAM_SECONDS for seam in seams)


def _divide(segment: WindowSegment, seams: Sequence[float]) -> Iterator[WindowSegment]:
    """Yield the parts of a segment between seams; a word is where its middle is."""
    tokens = segment.tokens

    def side(word: WindowWord) -> int:
        return sum(seam <= (word.start + word.end) / 2 for seam in seams)

    for _, group in groupby(segment.words or (), key=side):
        words = tuple(group)
        text = "".join(word.text for word in words)
        yield WindowSegment(words[0].start, words[-1].end, text, tokens, words)
        # They are the text of the next window's prompt, which is to have each once.
        tokens = ()


def _segment(piece: dict[str, Any], tokenizer: Tokenizer) -> WindowSegment:
    words = piece.get("words")
    return WindowSegment(
        start=float(piece["start"]),
        end=float(piece["end"]),
        text=tokenizer.decode(piece["tokens"]),
        tokens=tuple(piece["tokens"]),
        words=None if words is None else tuple(_word(word) for word in words),
    )


def _word(word: dict[str, Any]) -> WindowWord:
    return WindowWord(
        start=float(word["start"]),
        end=float(word["end"]),
        text=word["word"],
        probability=float(word["probability"]),
    )

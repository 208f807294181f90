"""From the tokens of a window to its segments and words."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_end

from whisperfleet.engine.ctranslate2.decoding import Passage
from whisperfleet.engine.ctranslate2.features import MelWindow
from whisperfleet.engine.ctranslate2.forward import to_model
from whisperfleet.engine.ctranslate2.tokens import to_pieces
from whisperfleet.engine.ctranslate2.words import WordKeepingModel
from whisperfleet.engine.interface import (
    FRAMES_PER_SECOND,
    WindowSegment,
    WindowWord,
    word_place,
)
from whisperfleet.engine.options import DecodingOptions

__all__ = ["split"]

# Timestamps are so inexact: a segment that reaches no further over a seam has no word behind it.
_SEAM_SECONDS = 0.3
# A last word ends at most 0.44 s after its segment (213 of 214, tiny.en). The other one, 2.3 s
# after, was given what the text left unread.
_LATE_WORD_SECONDS = 0.5


def split(
    model: WordKeepingModel,
    options: DecodingOptions,
    window: MelWindow,
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
    ends_in_text = bool(tokens) and tokens[-1] < passage.tokenizer.timestamp_begin
    if ends_in_text and consumed >= window.frames:
        # Only the window ended it. The library takes the timestamp that it began with for its end.
        pieces[-1]["end"] = window.seconds
    segments = [_segment(piece, passage.tokenizer) for piece in pieces]
    seams = [_seams_within(segment, window.seams) for segment in segments]
    asked = window.request.word_timestamps
    aligned = segments
    if asked or any(seams):
        _align(model, options, window, passage, pieces)
        _end_in_time(pieces, segments)
        aligned = [_segment(piece, passage.tokenizer) for piece in pieces]
    if asked:
        segments = aligned
        last_word_end = get_end(pieces)
        if not ends_in_silence and last_word_end is not None and last_word_end > 0:
            consumed = round(last_word_end * FRAMES_PER_SECOND)
    parts = (
        part
        for segment, with_words, inside in zip(segments, aligned, seams, strict=True)
        if segment.start != segment.end and segment.text.strip()
        for part in (
            _divide(with_words, inside) if inside and _are_placed(with_words.words) else (segment,)
        )
    )
    return tuple(part if asked else replace(part, words=None) for part in parts), consumed


def _align(
    model: WordKeepingModel,
    options: DecodingOptions,
    window: MelWindow,
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


def _end_in_time(pieces: list[dict[str, Any]], closed: Sequence[WindowSegment]) -> None:
    """Let no last word end long after the timestamp that closed its segment.

    Where a text stops before the audio does, the alignment stretches its last word over the rest,
    which would then count as read.
    """
    for piece, segment in zip(pieces, closed, strict=True):
        words = piece["words"]
        if words and words[-1]["end"] > segment.end + _LATE_WORD_SECONDS:
            piece["end"] = segment.end
            for word in words:
                word["start"] = min(word["start"], segment.end)
                word["end"] = min(word["end"], segment.end)


def _seams_within(segment: WindowSegment, seams: Iterable[float]) -> list[float]:
    first, last = segment.start + _SEAM_SECONDS, segment.end - _SEAM_SECONDS
    return [seam for seam in seams if first < seam < last]


def _are_placed(words: Sequence[WindowWord] | None) -> bool:
    """Return whether the alignment tells where the words of a segment are.

    It has none where the segment before has them, as the library gives it a word that both share;
    and where silence has led it astray, all are later than the segment.
    """
    return bool(words and words[0].start < words[-1].end)


def _divide(segment: WindowSegment, seams: Sequence[float]) -> Iterator[WindowSegment]:
    """Yield the parts of a segment between seams."""
    pieces = segment.pieces

    def side(word: WindowWord) -> int:
        return bisect_right(seams, word_place(word.start, word.end))

    for _, group in groupby(segment.words or (), key=side):
        words = tuple(group)
        text = "".join(word.text for word in words)
        yield WindowSegment(words[0].start, words[-1].end, text, pieces, words)
        # They are the text of the next window's prompt, which is to have each once.
        pieces = ()


def _segment(piece: dict[str, Any], tokenizer: Tokenizer) -> WindowSegment:
    words = piece.get("words")
    return WindowSegment(
        start=float(piece["start"]),
        end=float(piece["end"]),
        text=tokenizer.decode(piece["tokens"]),
        pieces=to_pieces(piece["tokens"], tokenizer),
        words=None if words is None else tuple(_word(word) for word in words),
    )


def _word(word: dict[str, Any]) -> WindowWord:
    return WindowWord(
        start=float(word["start"]),
        end=float(word["end"]),
        text=word["word"],
        probability=float(word["probability"]),
    )

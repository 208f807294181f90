"""From the tokens of a window to its segments and words."""

from collections.abc import Sequence
from typing import Any

from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_end

from whisperfleet.engine.decoding import Passage
from whisperfleet.engine.forward import to_model
from whisperfleet.engine.options import DecodingOptions
from whisperfleet.engine.seam import FRAMES_PER_SECOND, Window, WindowSegment, WindowWord
from whisperfleet.engine.words import WordKeepingModel

__all__ = ["split"]


def split(
    model: WordKeepingModel,
    options: DecodingOptions,
    window: Window,
    passage: Passage,
    tokens: Sequence[int],
) -> tuple[tuple[WindowSegment, ...], int]:
    """Return the segments of the tokens, and how many frames of the window they consumed.

    The words of a window that wants them are aligned for it alone: the library moves words by what
    was said before, so a batch of windows is not the same as one after the other.
    """
    pieces, consumed, ends_in_silence = model._split_segments_by_timestamps(  # noqa: SLF001
        tokenizer=passage.tokenizer,
        tokens=list(tokens),
        time_offset=0.0,
        segment_size=window.frames,
        segment_duration=window.seconds,
        seek=0,
    )
    if window.request.word_timestamps:
        model.add_word_timestamps(
            [pieces],
            passage.tokenizer,
            to_model([passage.encoded]),
            window.frames,
            options.prepend_punctuations,
            options.append_punctuations,
            last_speech_timestamp=window.last_speech_end,
        )
        last_word_end = get_end(pieces)
        if not ends_in_silence and last_word_end is not None and last_word_end > 0:
            consumed = round(last_word_end * FRAMES_PER_SECOND)
    segments = (_segment(piece, passage.tokenizer) for piece in pieces)
    kept = (one for one in segments if one.start != one.end and one.text.strip())
    return tuple(kept), consumed


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

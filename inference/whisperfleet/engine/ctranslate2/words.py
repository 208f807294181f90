"""Word timestamps that do not cost words."""

from typing import Any

from faster_whisper import WhisperModel

__all__ = ["WordKeepingModel"]


class WordKeepingModel(WhisperModel):  # type: ignore[misc]
    """The library's model, which keeps what its alignment leaves without length.

    The library drops a segment whose first word begins where its last one ends, and says no more of
    its words. That happens to a last short word; who asks for the time of words wants them all.
    """

    def add_word_timestamps(
        self, segments: list[list[dict[str, Any]]], *arguments: Any, **options: Any
    ) -> Any:
        """Add `words` to each segment, as the library does."""
        spans = [[(piece["start"], piece["end"]) for piece in pieces] for pieces in segments]
        last_speech_end = super().add_word_timestamps(segments, *arguments, **options)
        for pieces, spans_of_pieces in zip(segments, spans, strict=True):
            for piece, span in zip(pieces, spans_of_pieces, strict=True):
                _unfold(piece, span)
        return last_speech_end


def _unfold(piece: dict[str, Any], span: tuple[float, float]) -> None:
    """Give a segment without length its own time back; its words share it evenly."""
    words = piece["words"]
    if piece["start"] < piece["end"] or not words:
        return
    piece["start"], piece["end"] = start, end = span
    share = (end - start) / len(words)
    for position, word in enumerate(words):
        word["start"] = start + position * share
        word["end"] = start + (position + 1) * share

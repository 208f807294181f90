"""What an engine answers for a window that is settled."""

from dataclasses import dataclass

from whisperfleet.engine.ctranslate2.decoding import Decoded, Passage
from whisperfleet.engine.ctranslate2.features import MelWindow
from whisperfleet.engine.ctranslate2.segments import split
from whisperfleet.engine.ctranslate2.words import WordKeepingModel
from whisperfleet.engine.interface import WindowResult, WindowSegment
from whisperfleet.engine.options import DecodingOptions

__all__ = ["Heard", "answer_of", "silence"]


@dataclass(frozen=True, slots=True)
class Heard:
    """The language of a window, and how sure that is."""

    language: str
    probability: float


def answer_of(
    model: WordKeepingModel,
    options: DecodingOptions,
    window: MelWindow,
    heard: Heard,
    passage: Passage,
    decoded: Decoded,
) -> WindowResult:
    """Return the words of a text that suffices."""
    segments: tuple[WindowSegment, ...] = ()
    consumed = window.frames
    silent = _is_silent(decoded, options)
    if not silent:
        segments, consumed = split(model, options, window, passage, decoded.tokens)
    return WindowResult(
        segments=segments,
        consumed_frames=consumed,
        language=heard.language,
        language_probability=heard.probability,
        temperature=decoded.temperature,
        avg_logprob=decoded.avg_logprob,
        no_speech_prob=decoded.no_speech_prob,
        compression_ratio=decoded.compression_ratio,
        silent=silent,
        carry=window.loudest,
    )


def silence(window: MelWindow) -> WindowResult:
    """Return the answer to a window that is too short for the model."""
    return WindowResult(
        segments=(),
        consumed_frames=window.frames,
        language=window.language or "en",
        language_probability=1.0 if window.language else 0.0,
        temperature=0.0,
        avg_logprob=0.0,
        no_speech_prob=1.0,
        compression_ratio=0.0,
        silent=True,
        carry=window.loudest,
    )


def _is_silent(decoded: Decoded, options: DecodingOptions) -> bool:
    return (
        decoded.no_speech_prob > options.no_speech_threshold
        and decoded.avg_logprob <= options.log_prob_threshold
    )

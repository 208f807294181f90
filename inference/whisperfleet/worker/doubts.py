"""What a transcript itself gives reason to doubt: pure."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final

from whisperfleet.contract.result import Segment, Transcript
from whisperfleet.contract.warnings import ResultWarning, WarningCode
from whisperfleet.engine.options import DecodingOptions

__all__ = ["doubts"]

# Below it another language may well be more likely than the one that was taken.
_SURE_OF_LANGUAGE: Final = 0.5
_RULES: Final = DecodingOptions()
_MOST_PLACES: Final = 3


def doubts(
    transcript: Transcript,
    asked_language: str | None,
    unrecognised: Sequence[tuple[float, float]] = (),
) -> Iterator[ResultWarning]:
    """Yield what should be checked: one warning of each kind at most.

    `asked_language` is the language that the job named; None where it was detected. Words are
    doubtful where they still fail the quality rules of decoding after every fallback.
    `unrecognised` are the places where speech was heard and no words were, in seconds.
    """
    certain = not transcript.segments or transcript.language_probability >= _SURE_OF_LANGUAGE
    if asked_language is None and not certain:
        yield ResultWarning(
            code=WarningCode.LANGUAGE_UNCERTAIN,
            message=f"the language was taken for `{transcript.language}` with a probability of "
            f"{transcript.language_probability:.2f}; name it with `language`",
        )
    if places := _doubtful_places(transcript):
        yield ResultWarning(
            code=WarningCode.WORDS_UNCERTAIN,
            message=f"the words {_list(places)} are a guess, as of noise, music or a wrong "
            "language; check them against the audio",
        )
    if unrecognised:
        yield ResultWarning(
            code=WarningCode.WORDS_LEFT_OUT,
            message=f"something like speech was heard {_list(unrecognised)} and no words were "
            "recognised; listen to it, and try a larger model or `language` if there are words",
        )


def _doubtful_places(transcript: Transcript) -> list[tuple[float, float]]:
    """Return (start, end) in seconds of each run of segments whose words are a guess."""
    places = []
    for doubtful, run in groupby(transcript.segments, _is_doubtful):
        if doubtful:
            segments = list(run)
            places.append((segments[0].start, max(segment.end for segment in segments)))
    return places


def _is_doubtful(segment: Segment) -> bool:
    failed = (
        segment.compression_ratio > _RULES.compression_ratio_threshold
        or segment.avg_logprob < _RULES.log_prob_threshold
    )
    return failed and segment.temperature > 0


def _list(places: Sequence[tuple[float, float]]) -> str:
    told = ", ".join(f"from {start:.1f} to {end:.1f} s" for start, end in places[:_MOST_PLACES])
    more = len(places) - _MOST_PLACES
    return f"{told} and in {more} more places" if more > 0 else told

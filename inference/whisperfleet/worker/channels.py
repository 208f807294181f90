"""From the words of each channel of a recording to one transcript in order of time: pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict

from whisperfleet.contract.job import channel_name
from whisperfleet.contract.languages import UNSPACED
from whisperfleet.contract.result import Transcript
from whisperfleet.contract.warnings import ResultWarning, WarningCode

__all__ = ["Heard", "merge"]

_ONE_CHANNEL: Final = ResultWarning(
    code=WarningCode.CHANNEL_MISSING,
    message="the audio has one channel, so `split` has nothing to part: its words come once and "
    "name no channel; leave the field out for such files",
)


class Heard(BaseModel):
    """Words, and what they lack or are unsure of."""

    model_config = ConfigDict(frozen=True)

    transcript: Transcript
    warnings: tuple[ResultWarning, ...] = ()


def merge(channels: Sequence[Heard]) -> Heard:
    """Put the words of all channels of a file, first channel first, into one transcript.

    Segments come in order of their starts and name their channel; the first channel goes first
    where two begin at once. The language is that of the channel with the most speech, and the
    seconds of speech are those of all channels together, so they may be more than the duration. A
    warning of all channels is one of the file; the others say which channel they are about. Where
    there is one channel its words stay as they are, with a warning.
    """
    if len(channels) == 1:
        (only,) = channels
        return Heard(transcript=only.transcript, warnings=(*only.warnings, _ONE_CHANNEL))
    transcripts = [heard.transcript for heard in channels]
    segments = sorted(
        (
            segment.model_copy(update={"channel": channel_name(index)})
            for index, transcript in enumerate(transcripts)
            for segment in transcript.segments
        ),
        key=lambda segment: segment.start,
    )
    spoken = [transcript.language for transcript in transcripts if transcript.segments]
    most = max(transcripts, key=lambda transcript: transcript.duration_after_vad)
    transcript = Transcript(
        text=("" if UNSPACED.issuperset(spoken) else " ").join(s.text for s in segments),
        language=most.language,
        language_probability=most.language_probability,
        duration=max(transcript.duration for transcript in transcripts),
        duration_after_vad=round(sum(t.duration_after_vad for t in transcripts), 3),
        segments=tuple(segments),
    )
    return Heard(transcript=transcript, warnings=tuple(_warnings(channels)))


def _warnings(channels: Sequence[Heard]) -> Iterator[ResultWarning]:
    """Yield the warnings of the file, then those of each channel."""
    first, *others = [heard.warnings for heard in channels]
    common = [warning for warning in first if all(warning in other for other in others)]
    yield from common
    for index, heard in enumerate(channels):
        for warning in heard.warnings:
            if warning not in common:
                message = f"channel {channel_name(index)}: {warning.message}"
                yield warning.model_copy(update={"message": message})

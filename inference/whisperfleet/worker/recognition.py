"""From a job's file to its words: each channel that is wanted is decoded, cut and recognised."""

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from whisperfleet.audio.decoder import AudioSelection, DecoderPool
from whisperfleet.contract.job import Channel, Job
from whisperfleet.engine import WindowRequest
from whisperfleet.segmentation import SegmentationOptions, make_segmenter
from whisperfleet.worker.batcher import Batcher, JobHandle
from whisperfleet.worker.channels import Heard, merge
from whisperfleet.worker.control import JobControl
from whisperfleet.worker.doubts import doubts
from whisperfleet.worker.preprocess_limiter import PreprocessLimiter
from whisperfleet.worker.stopwatch import Stopwatch
from whisperfleet.worker.transcribe import transcribe

if TYPE_CHECKING:
    from whisperfleet.contract.warnings import ResultWarning

__all__ = ["Recogniser", "request_of"]

# Channels are counted from 0; None is the mix of all.
_ONE_OF: Final = {Channel.MIX: None, Channel.LEFT: 0, Channel.RIGHT: 1}


def request_of(job: Job) -> WindowRequest:
    """Return what a job asks of each of its windows."""
    return WindowRequest(job.language, job.task, job.prompt, job.word_timestamps)


@dataclass(frozen=True, slots=True)
class Recogniser:
    """What turns files into words; shared by all jobs that are in flight."""

    decoders: DecoderPool
    engine: Batcher
    segmentation: SegmentationOptions
    limiter: PreprocessLimiter

    def recognise(
        self, audio: BinaryIO, job: Job, priority: str, control: JobControl, stopwatch: Stopwatch
    ) -> Heard:
        """Return the words of what a job wants of a file, and what they lack.

        A file that is split is decoded once for each of its channels, one after the other. Raises
        what decoding and `transcribe` raise.
        """
        with self.engine.join(priority, stopwatch.meter) as handle:
            one_job = _OneJob(self, audio, job, handle, control, stopwatch)
            if job.channel is not Channel.SPLIT:
                heard, _ = one_job.hear(_ONE_OF[job.channel])
                return heard
            heard, channels = one_job.hear(0)
            others = [one_job.hear(channel)[0] for channel in range(1, channels)]
            return merge([heard, *others])


@dataclass(frozen=True, slots=True)
class _OneJob:
    tools: Recogniser
    audio: BinaryIO
    job: Job
    handle: JobHandle
    control: JobControl
    stopwatch: Stopwatch

    def hear(self, channel: int | None) -> tuple[Heard, int]:
        """Return the words of a channel, None for the mix, and how many channels there are."""
        tools = self.tools
        samples = _Samples(tools.decoders, self.audio, AudioSelection(self.job.track, channel))
        with closing(samples.blocks()) as blocks:
            checked = _checked(self.stopwatch.pulling("decode", blocks), self.control)
            segmenter = make_segmenter(checked, request_of(self.job), tools.segmentation)
            transcript = transcribe(
                segmenter, self.handle, self.control, self.stopwatch, tools.limiter.taken
            )
        doubtful = doubts(transcript, self.job.language, segmenter.unrecognised)
        warnings = (*samples.warnings, *doubtful)
        return Heard(transcript=transcript, warnings=warnings), samples.channels


class _Samples:
    """The samples of a channel; a decoder is taken when the first of them is wanted.

    `warnings` and `channels` are known once they have ended.
    """

    def __init__(self, decoders: DecoderPool, audio: BinaryIO, selection: AudioSelection) -> None:
        self.warnings: tuple[ResultWarning, ...] = ()
        self.channels = 0
        self._decoders = decoders
        self._audio = audio
        self._selection = selection

    def blocks(self) -> Generator[NDArray[np.int16]]:
        with self._decoders.decode(self._audio, self._selection) as stream:
            yield from stream
            self.warnings = tuple(stream.warnings)
            self.channels = stream.channels


def _checked(
    blocks: Iterator[NDArray[np.int16]], control: JobControl
) -> Iterator[NDArray[np.int16]]:
    for block in blocks:
        control.check()
        yield block

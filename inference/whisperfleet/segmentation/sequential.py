"""Windows as the reference reads them: each begins where the words of the last one ended."""

from dataclasses import replace
from typing import Any

from whisperfleet.engine.interface import (
    EDGE_SAMPLES,
    FRAMES_PER_SECOND,
    FRAMES_PER_WINDOW,
    SAMPLE_RATE,
    SAMPLES_PER_FRAME,
    Window,
    WindowRequest,
    WindowResult,
)
from whisperfleet.segmentation.options import SegmentationOptions
from whisperfleet.segmentation.pcm import to_float
from whisperfleet.segmentation.rests import unrecognised
from whisperfleet.segmentation.segmenter import Answered, PlacedWindow
from whisperfleet.segmentation.speech import SpeechReader
from whisperfleet.segmentation.speech_buffer import SpeechBuffer
from whisperfleet.segmentation.timeline import Timeline

__all__ = ["SequentialSegmenter"]

# Half of the decoder's 448 positions, less the marker before them: more is never used as a prompt.
_MAX_PROMPT_PIECES = 223


class SequentialSegmenter:
    """The loop of `WhisperModel.transcribe` over a file, as an iterator that streams.

    Speech is set end to end and read in windows of 30 s. A window begins where the segments of the
    last one ended, and its prompt is the text so far, as `options` say.
    """

    def __init__(
        self, reader: SpeechReader, request: WindowRequest, options: SegmentationOptions
    ) -> None:
        self._reader = reader
        self._options = options
        self._request = request
        self._buffer = SpeechBuffer()
        self._ended = False
        self._unanswered: Timeline | None = None
        self._frames = 0  # of the window that is unanswered
        self._carry: Any = None
        self.unrecognised: list[tuple[float, float]] = []
        self._seek = 0  # frames from the beginning of the buffer
        self._language = request.language
        self._previous: tuple[str, ...] = ()
        self._last_speech_end = 0.0  # seconds from the beginning of the buffer

    @property
    def language(self) -> str | None:
        """The language of the job, once it is known."""
        return self._language

    @property
    def duration(self) -> float:
        """The seconds that were decoded so far."""
        return self._reader.decoded_samples / SAMPLE_RATE

    @property
    def duration_after_vad(self) -> float:
        """The seconds of them that were taken for speech."""
        return self._reader.speech_samples / SAMPLE_RATE

    def next(self) -> PlacedWindow | None:
        """Return the next window, or None while one is unanswered and after the last."""
        if self._unanswered is not None:
            return None
        frames = self._fill()
        if frames <= 0:
            return None
        begin = self._seek * SAMPLES_PER_FRAME
        end = begin + frames * SAMPLES_PER_FRAME
        timeline = self._buffer.timeline(begin, end)
        window = Window(
            to_float(self._buffer.read(begin, end)),
            self._request,
            self._language,
            self._previous,
            min(0.0, self._last_speech_end - self._seek / FRAMES_PER_SECOND),
            timeline.seams,
            before=to_float(self._buffer.read(max(0, begin - EDGE_SAMPLES), begin)),
            after=to_float(self._buffer.read(end, end + EDGE_SAMPLES)),
            carry=self._carry,
        )
        self._unanswered, self._frames = timeline, frames
        return PlacedWindow(window, timeline)

    def answer(self, timeline: Timeline, result: WindowResult) -> Answered:
        """Take the answer to the window: the next one begins where its words ended."""
        if timeline is not self._unanswered:
            raise ValueError("this is the answer to a window that was not asked for")
        self._unanswered = None
        self._advance(result)
        if place := unrecognised(timeline, result):
            self.unrecognised.append(place)
        return Answered(timeline, result)

    def _fill(self) -> int:
        """Read a window's worth of speech from `seek`; return how many frames there are."""
        self._buffer.forget(self._seek * SAMPLES_PER_FRAME - EDGE_SAMPLES)
        wanted = (self._seek + FRAMES_PER_WINDOW) * SAMPLES_PER_FRAME + EDGE_SAMPLES
        while not self._ended and self._buffer.length < wanted:
            span = next(self._reader, None)
            if span is None:
                self._ended = True
            else:
                self._buffer.append(span)
        return min(FRAMES_PER_WINDOW, self._buffer.length // SAMPLES_PER_FRAME - self._seek)

    def _advance(self, answer: WindowResult) -> None:
        offset = self._seek / FRAMES_PER_SECOND
        # An answer that consumed nothing would be asked for again without end.
        self._seek += answer.consumed_frames if answer.consumed_frames > 0 else self._frames
        self._language = self._language or answer.language
        self._carry = answer.carry
        if answer.silent:
            return
        if self._request.word_timestamps and answer.segments:
            self._last_speech_end = offset + _last_end(answer)
        pieces = [piece for segment in answer.segments for piece in segment.pieces]
        self._previous = (*self._previous, *pieces)[-_MAX_PROMPT_PIECES:]
        if (
            not self._options.condition_on_previous_text
            or answer.temperature > self._options.prompt_reset_on_temperature
        ):
            self._previous = ()
            self._request = replace(self._request, prompt=None)


def _last_end(answer: WindowResult) -> float:
    """Return where the last word ends, or the last segment where there are no words."""
    for segment in reversed(answer.segments):
        if segment.words:
            return segment.words[-1].end
    return answer.segments[-1].end

"""Windows that need little of one another: what the detector found, packed.

A window ends in a pause, and nothing of another window has to be known to recognise it. Two things
are read on from where the model stopped, as its own rule says (arXiv:2212.04356, 2.3): what a
window's answer did not consume, and speech that goes on without a pause for longer than a window.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from whisperfleet.engine.interface import SAMPLE_RATE, Window, WindowRequest, WindowResult
from whisperfleet.segmentation.options import SegmentationOptions
from whisperfleet.segmentation.pcm import to_float
from whisperfleet.segmentation.rests import keep_whole_words, unconsumed, unread, unrecognised
from whisperfleet.segmentation.runs import Run, length_of, skip, take, timeline_of
from whisperfleet.segmentation.segmenter import Answered, PlacedWindow
from whisperfleet.segmentation.speech import Speech, SpeechReader
from whisperfleet.segmentation.timeline import Timeline

__all__ = ["ParallelSegmenter"]

# Less than the shortest word is no window of its own.
_LEAST_REST = SAMPLE_RATE // 4
# Windows share a call of the engine where what precedes them is equally long (ADR 6), so the text
# before a rest has one of few lengths, in pieces: about two sentences, or one.
_CONTEXTS = (32, 16)
# Where all is read, more text keeps more words: by telephone 0.10 points more were wrong than by
# the library, not 0.56. With the detector it gains nothing (docs/accuracy.md).
_CONTEXTS_OF_ALL = (64, *_CONTEXTS)

Pieces = tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Rest:
    """What an answer left unread, and the last pieces of the text before it."""

    run: Run = ()
    context: Pieces = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """What a window was made of, what follows it without a pause, and whether more does."""

    window: Run
    beyond: Run
    is_open: bool
    context: Pieces

    @property
    def ends_in_speech(self) -> bool:
        return bool(self.beyond) or self.is_open


class ParallelSegmenter:
    """Packs runs of speech into windows of at most `options.max_window_seconds`.

    The prompt of the job precedes each window, and the text before it what another window left
    unread, as the options say. Windows may be answered in any order; where the language is to be
    detected, the first answer gives it and the others wait for it.
    """

    def __init__(
        self, reader: SpeechReader, request: WindowRequest, options: SegmentationOptions
    ) -> None:
        self._reader = reader
        self._request = request
        self._options = options
        self._contexts = _CONTEXTS if options.vad else _CONTEXTS_OF_ALL
        self._capacity = int(options.max_window_seconds * SAMPLE_RATE)
        self._stretches = _Stretches(reader, self._capacity)
        self._language = request.language
        self._asked: dict[Timeline, _Asked] = {}
        # To be read before anything new: it is earlier in the file.
        self._rests: deque[_Rest] = deque()
        # What is left of speech that the reader has not come to the end of.
        self._open = _Rest()
        self._unrecognised: list[tuple[float, float]] = []

    @property
    def unrecognised(self) -> list[tuple[float, float]]:
        """From when to when, in order of time, the detector heard speech and the model no words."""
        return sorted(self._unrecognised)

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
        """Return a window, or None where none can be made now."""
        if self._asked and self._language is None:
            return None
        if self._rests:
            return self._place(self._rests.popleft(), is_open=False)
        if any(asked.is_open for asked in self._asked.values()):
            return None
        begun, self._open = self._open, _Rest()
        run, is_open = self._stretches.pack(begun.run)
        return self._place(_Rest(run, begun.context), is_open=is_open) if run else None

    def answer(self, timeline: Timeline, result: WindowResult) -> Answered:
        """Take the answer to a window; what it left unread goes into another."""
        asked = self._asked.pop(timeline)
        self._language = self._language or result.language
        if asked.ends_in_speech:
            result, rest = keep_whole_words(asked.window, result)
            rest += asked.beyond
        else:
            rest = self._left_by(asked.window, result)
        if asked.is_open:
            self._open = _Rest(rest, self._context(asked, result))
        elif length_of(rest) >= _LEAST_REST:
            self._rests.append(_Rest(rest, self._context(asked, result)))
        if place := unrecognised(timeline, result):
            self._unrecognised.append(place)
        return Answered(timeline, self._as_asked_for(result))

    def _left_by(self, window: Run, result: WindowResult) -> Run:
        # Who reads everything wants what the detector does not hear as well.
        unheard = () if self._options.vad else unconsumed(window, result)
        return unheard or unread(window, result)

    def _context(self, asked: _Asked, result: WindowResult) -> Pieces:
        """Return what is to precede the rest of a window: the end of the text up to it."""
        options = self._options
        if (
            not options.condition_on_previous_text
            or result.temperature > options.prompt_reset_on_temperature
        ):
            return ()
        said = [piece for segment in result.segments for piece in segment.pieces]
        text = (*asked.context, *said)
        length = next((length for length in self._contexts if length <= len(text)), 0)
        return text[len(text) - length :]

    def _as_asked_for(self, result: WindowResult) -> WindowResult:
        """Return a result without the words' times where they were wanted here alone."""
        if self._request.word_timestamps:
            return result
        segments = (replace(segment, words=None) for segment in result.segments)
        return replace(result, segments=tuple(segments))

    def _place(self, rest: _Rest, *, is_open: bool) -> PlacedWindow:
        own, beyond = take(rest.run, self._capacity), skip(rest.run, self._capacity)
        asked = _Asked(own, beyond, is_open, rest.context)
        timeline = timeline_of(own)
        samples = to_float(np.concatenate([span.samples for span in own]))
        request = self._request
        if asked.ends_in_speech:
            # Where the window ends is no pause: only the time of words tells which are whole.
            request = replace(request, word_timestamps=True)
        self._asked[timeline] = asked
        window = Window(samples, request, self._language, rest.context, seams=timeline.seams)
        return PlacedWindow(window, timeline)


class _Stretches:
    """Takes speech together that is not divided by a pause, and packs what fits into a window."""

    def __init__(self, spans: Iterator[Speech], capacity: int) -> None:
        self._spans = spans
        self._capacity = capacity
        self._ahead: Speech | None = None
        # A stretch that was read and did not fit.
        self._held: tuple[Run, bool] | None = None

    def pack(self, begun: Run) -> tuple[Run, bool]:
        """Return stretches for a window, and whether the last goes on in what is not read yet.

        The first of them goes on from `begun`. Empty when there is no more.
        """
        packed, is_open = self._stretch(begun)
        while packed and not is_open:
            following, is_following_open = self._stretch(())
            if not following:
                break
            if length_of(packed) + length_of(following) > self._capacity:
                self._held = following, is_following_open
                break
            packed += following
        return packed, is_open

    def _stretch(self, begun: Run) -> tuple[Run, bool]:
        if not begun and self._held:
            held, self._held = self._held, None
            return held
        run = begun
        while (span := self._peek()) and (span.joined or not run):
            if run and length_of(run) >= self._capacity:
                return run, True
            run += (span,)
            self._ahead = None
        return run, False

    def _peek(self) -> Speech | None:
        if self._ahead is None:
            self._ahead = next(self._spans, None)
        return self._ahead

"""What an answer leaves unread of its window: pure.

Whisper ends a window with a doubled timestamp where it stopped in the middle of something: what
follows is to be read by a further window (arXiv:2212.04356, 2.3). It also ends too early with words
left unsaid, and closes what the window's end cut off as if it were whole. The detector, which heard
speech there, tells.
"""

from dataclasses import replace

from whisperfleet.engine.interface import (
    SAMPLE_RATE,
    SAMPLES_PER_FRAME,
    WindowResult,
    WindowSegment,
)
from whisperfleet.segmentation.runs import Run, length_of, skip, speech_within
from whisperfleet.segmentation.timeline import Timeline

__all__ = ["keep_whole_words", "unconsumed", "unread", "unrecognised"]

# Less speech than the shortest word has is the end of one that was read.
_LEAST_CONSUMED_REST = SAMPLE_RATE // 4
# A last timestamp is up to 0.6 s too early (p5); more speech after it than this was not read.
_LEAST_UNSAID_REST = SAMPLE_RATE
# A window is read on at least so far from its beginning, whatever an answer says: a minute of audio
# makes 120 windows at the most.
_LEAST_PROGRESS = SAMPLE_RATE // 2
# A word that ends so near to where its window was cut may not be whole.
_EDGE_SECONDS = 1.0
# Whisper's silence rule leaves out noises that the detector takes for speech; longer ones show.
_LEAST_UNRECOGNISED = 2 * SAMPLE_RATE


def unread(window: Run, result: WindowResult) -> Run:
    """Return the part of a window that ends in a pause which another window is to read."""
    total = length_of(window)
    consumed = _consumed(window, result)
    if consumed < total:
        least = _LEAST_CONSUMED_REST
    elif result.segments:
        consumed, least = _samples(result.segments[-1].end), _LEAST_UNSAID_REST
    else:
        return ()
    return _after(window, consumed) if speech_within(window, consumed, total) >= least else ()


def unconsumed(window: Run, result: WindowResult) -> Run:
    """Return the part of a window before which the model stopped, whatever was heard in it."""
    consumed = _consumed(window, result)
    return _after(window, consumed) if consumed < length_of(window) else ()


def keep_whole_words(window: Run, result: WindowResult) -> tuple[WindowResult, Run]:
    """Return what counts of the answer to a window that was cut in speech, and what is left.

    Where the model took it to its edge, its last segment was closed because the window ended. It is
    read again from its beginning, or, where there is no earlier one, from its last whole word.
    """
    consumed, total = _consumed(window, result), length_of(window)
    if not result.segments and speech_within(window, consumed, total) < _LEAST_CONSUMED_REST:
        # Neither the model nor the detector hears anything: silence is not read twice.
        return result, ()
    if consumed < total - _samples(_EDGE_SECONDS) or not result.segments:
        return result, _after(window, consumed)
    seconds = total / SAMPLE_RATE
    *earlier, last = result.segments
    if last.end < seconds - _EDGE_SECONDS:
        unsaid = speech_within(window, _samples(last.end), total) >= _LEAST_CONSUMED_REST
        return result, _after(window, _samples(last.end)) if unsaid else ()
    if earlier and last.start > seconds / 2:
        return replace(result, segments=tuple(earlier)), _after(window, _samples(last.start))
    whole = [word for word in last.words or () if word.end < seconds - _EDGE_SECONDS]
    if not whole:
        return result, skip(window, consumed)
    kept = _shortened(last, len(whole))
    return replace(result, segments=(*earlier, kept)), _after(window, _samples(kept.end))


def unrecognised(timeline: Timeline, result: WindowResult) -> tuple[float, float] | None:
    """Return from when to when, in seconds of the file, a window without words holds speech."""
    heard = [sound for piece in timeline.pieces for sound in piece.heard]
    if result.segments or sum(end - start for start, end in heard) < _LEAST_UNRECOGNISED:
        return None
    return heard[0][0] / SAMPLE_RATE, heard[-1][1] / SAMPLE_RATE


def _shortened(segment: WindowSegment, words: int) -> WindowSegment:
    kept = (segment.words or ())[:words]
    text = "".join(word.text for word in kept)
    # Which pieces a word has is not known here: as large a part of them as of the letters.
    pieces = segment.pieces[: len(segment.pieces) * len(text) // max(1, len(segment.text))]
    return replace(segment, end=kept[-1].end, text=text, pieces=pieces, words=kept)


def _consumed(window: Run, result: WindowResult) -> int:
    """Return how many samples the answer consumed; all of them where it says none."""
    consumed = min(result.consumed_frames * SAMPLES_PER_FRAME, length_of(window))
    return consumed if consumed > 0 else length_of(window)


def _after(window: Run, samples: int) -> Run:
    return skip(window, max(samples, _LEAST_PROGRESS))


def _samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE)

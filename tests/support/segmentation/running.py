"""Run a segmenter to its end, as the worker does."""

from collections import deque
from typing import Any

from support.engine.fixtures import settle
from whisperfleet.contract.result import Transcript
from whisperfleet.engine import Engine, WindowResult
from whisperfleet.errors import JobError
from whisperfleet.segmentation import Answered, Piece, PlacedWindow, Segmenter, Timeline, assemble


def run(segmenter: Segmenter, engine: Engine[Any]) -> list[tuple[PlacedWindow, WindowResult]]:
    """Answer every window, up to two behind where the segmenter allows it."""
    return [(placed, result) for placed, result, _ in _run(segmenter, engine)]


def transcribe(segmenter: Segmenter, engine: Engine[Any]) -> Transcript:
    """Return the transcript that a segmenter and an engine make of a job."""
    return assemble([answered for _, _, answered in _run(segmenter, engine)], segmenter)


def heedless(timeline: Timeline) -> Timeline:
    """Return the timeline of the same window as the library has it, whatever was heard where."""
    merged: list[Piece] = []
    for piece in timeline.pieces:
        if merged and merged[-1].end == piece.start:
            merged[-1] = Piece(merged[-1].start, merged[-1].samples + piece.samples)
        else:
            merged.append(Piece(piece.start, piece.samples))
    return Timeline(tuple(merged))


def _run(
    segmenter: Segmenter, engine: Engine[Any]
) -> list[tuple[PlacedWindow, WindowResult, Answered]]:
    unanswered: deque[PlacedWindow] = deque()
    answered: list[tuple[PlacedWindow, WindowResult, Answered]] = []
    while True:
        placed = segmenter.next() if len(unanswered) < 2 else None
        if placed is not None:
            unanswered.append(placed)
        elif unanswered:
            placed = unanswered.popleft()
            (answer,) = settle(engine, [placed.window])
            if isinstance(answer, JobError):
                raise answer
            answered.append((placed, answer, segmenter.answer(placed.timeline, answer)))
        else:
            return answered

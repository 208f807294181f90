"""Run a cutter to its end, as the worker does."""

from collections import deque

from engine.fixtures import settle
from whisperfleet.contract.result import Transcript
from whisperfleet.cutting import Answered, Clock, Cut, Cutter, Piece, assemble
from whisperfleet.engine import Engine, WindowResult
from whisperfleet.errors import JobError


def run(cutter: Cutter, engine: Engine) -> list[tuple[Cut, WindowResult]]:
    """Answer every window, up to two behind where the cutter allows it."""
    return [(cut, result) for cut, result, _ in _run(cutter, engine)]


def transcribe(cutter: Cutter, engine: Engine) -> Transcript:
    """Return the transcript that a cutter and an engine make of a job."""
    return assemble([answered for _, _, answered in _run(cutter, engine)], cutter)


def heedless(clock: Clock) -> Clock:
    """Return the clock of the same window as the library has it, whatever was heard where."""
    merged: list[Piece] = []
    for piece in clock.pieces:
        if merged and merged[-1].end == piece.start:
            merged[-1] = Piece(merged[-1].start, merged[-1].samples + piece.samples)
        else:
            merged.append(Piece(piece.start, piece.samples))
    return Clock(tuple(merged))


def _run(cutter: Cutter, engine: Engine) -> list[tuple[Cut, WindowResult, Answered]]:
    unanswered: deque[Cut] = deque()
    answered: list[tuple[Cut, WindowResult, Answered]] = []
    while True:
        cut = cutter.next() if len(unanswered) < 2 else None
        if cut is not None:
            unanswered.append(cut)
        elif unanswered:
            cut = unanswered.popleft()
            (answer,) = settle(engine, [cut.window])
            if isinstance(answer, JobError):
                raise answer
            answered.append((cut, answer, cutter.answer(cut, answer)))
        else:
            return answered

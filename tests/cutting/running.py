"""Run a cutter to its end, as the worker does."""

from collections import deque

from engine.fixtures import settle
from whisperfleet.contract.result import Transcript
from whisperfleet.cutting import Cut, Cutter, assemble
from whisperfleet.engine import Engine, WindowResult
from whisperfleet.errors import JobError


def run(cutter: Cutter, engine: Engine) -> list[tuple[Cut, WindowResult]]:
    """Answer every window, up to two behind where the cutter allows it."""
    unanswered: deque[Cut] = deque()
    answered: list[tuple[Cut, WindowResult]] = []

    def take() -> WindowResult:
        cut = unanswered.popleft()
        (answer,) = settle(engine, [cut.window])
        if isinstance(answer, JobError):
            raise answer
        answered.append((cut, answer))
        return answer

    previous = None
    while cut := cutter.next(previous):
        unanswered.append(cut)
        previous = None
        while len(unanswered) >= min(cutter.lookahead, 2):
            previous = take()
    while unanswered:
        take()
    return answered


def transcribe(cutter: Cutter, engine: Engine) -> Transcript:
    """Return the transcript that a cutter and an engine make of a job."""
    return assemble([(cut.clock, result) for cut, result in run(cutter, engine)], cutter)

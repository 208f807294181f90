"""Engines that wait to be let on, and windows that they tell apart by their prompts."""

import threading

import numpy as np

from whisperfleet.engine import Unsettled, Window, WindowRequest, WindowResult

RESULT = WindowResult((), 0, "en", 1.0, 0.0, 0.0, 0.0, 0.0)


def window(seconds: float, name: str = "") -> Window:
    return Window(np.zeros((80, int(seconds * 100)), np.float32), WindowRequest(prompt=name))


class GatedEngine:
    """An engine that waits to be let on, and answers what it is told to; `seen` are its calls."""

    mels = 80

    def __init__(self, *answers: object, batch_size: int = 4) -> None:
        self.gate = threading.Semaphore(0)
        self.answers = list(answers)
        self.batch_size = batch_size
        self.seen: list[list[str]] = []

    def run(self, windows):
        self.seen.append([window.request.prompt for window in windows])
        self.gate.acquire()
        answer = self.answers.pop(0) if self.answers else [RESULT] * len(windows)
        if isinstance(answer, BaseException):
            raise answer
        return answer


class Found:
    """What an engine keeps of a window between its passes; tests look whether it is let go."""

    def __init__(self, name: str, passes: int) -> None:
        self.name = name
        self.passes = passes


class LoopingEngine(GatedEngine):
    """One to which windows come back: ``a+2`` is settled by the second pass after its first.

    A further pass shows in `seen` by its number: ``a+2:1``. `kept` is called with what is kept.
    """

    def __init__(self, batch_size: int = 4, retry_size: int = 2, kept=lambda _: None) -> None:
        super().__init__(batch_size=batch_size)
        self.retry_size = retry_size
        self.kept = kept

    def run(self, windows):
        answers = super().run(windows)
        names = [window.request.prompt for window in windows]
        return [
            self._unsettled(name, 1) if "+" in name else answer
            for name, answer in zip(names, answers, strict=True)
        ]

    def retry(self, unsettled):
        found = [(one.found.name, one.found.passes) for one in unsettled]
        self.seen.append([f"{name}:{passes}" for name, passes in found])
        self.gate.acquire()
        if self.answers:
            raise self.answers.pop(0)
        return [
            RESULT if int(name.partition("+")[2]) == passes else self._unsettled(name, passes + 1)
            for name, passes in found
        ]

    def _unsettled(self, name: str, passes: int) -> Unsettled:
        found = Found(name, passes)
        self.kept(found)
        return Unsettled(temperature=passes / 5, found=found)

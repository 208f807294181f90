"""Engines that wait to be let on, and windows that they tell apart by their prompts."""

import threading
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from whisperfleet.engine import Answer, Unsettled, Window, WindowRequest, WindowResult

RESULT = WindowResult((), 0, "en", 1.0, 0.0, 0.0, 0.0, 0.0)

Outcome: TypeAlias = list[Answer] | BaseException
"""What a call answers, or raises."""


def window(seconds: float, name: str = "") -> Window:
    return Window(np.zeros(int(seconds * 16_000), np.float32), WindowRequest(prompt=name))


class GatedEngine:
    """An engine that waits to be let on, and answers what it is told to; `seen` are its calls."""

    retry_size = 1

    def __init__(self, *answers: Outcome, batch_size: int = 4) -> None:
        self.gate = threading.Semaphore(0)
        self.answers = list(answers)
        self.batch_size = batch_size
        self.seen: list[list[str]] = []

    def prepare(self, window: Window) -> Window:
        return window

    def run(self, windows: Sequence[Window]) -> list[Answer]:
        self.seen.append([window.request.prompt or "" for window in windows])
        self.gate.acquire()
        settled: list[Answer] = [RESULT for _ in windows]
        answer = self.answers.pop(0) if self.answers else settled
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def retry(self, unsettled: Sequence[Unsettled]) -> list[Answer]:
        raise AssertionError(f"this engine settles everything, and is asked for {unsettled}")


class Found:
    """What an engine keeps of a window between its passes; tests look whether it is let go."""

    def __init__(self, name: str, passes: int) -> None:
        self.name = name
        self.passes = passes


class LoopingEngine(GatedEngine):
    """One to which windows come back: ``a+2`` is settled by the second pass after its first.

    A further pass shows in `seen` by its number: ``a+2:1``. `kept` is called with what is kept.
    """

    def __init__(
        self,
        batch_size: int = 4,
        retry_size: int = 2,
        kept: Callable[[Found], object] = lambda _: None,
    ) -> None:
        super().__init__(batch_size=batch_size)
        self.retry_size = retry_size
        self.kept = kept

    def run(self, windows: Sequence[Window]) -> list[Answer]:
        answers = super().run(windows)
        names = [window.request.prompt or "" for window in windows]
        return [
            self._unsettled(name, 1) if "+" in name else answer
            for name, answer in zip(names, answers, strict=True)
        ]

    def retry(self, unsettled: Sequence[Unsettled]) -> list[Answer]:
        found = [(one.found.name, one.found.passes) for one in unsettled]
        self.seen.append([f"{name}:{passes}" for name, passes in found])
        self.gate.acquire()
        if self.answers and isinstance(failure := self.answers.pop(0), BaseException):
            raise failure
        return [
            RESULT if int(name.partition("+")[2]) == passes else self._unsettled(name, passes + 1)
            for name, passes in found
        ]

    def _unsettled(self, name: str, passes: int) -> Unsettled:
        found = Found(name, passes)
        self.kept(found)
        return Unsettled(temperature=passes / 5, found=found)

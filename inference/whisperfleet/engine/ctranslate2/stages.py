"""Many windows through the steps of recognition: who fails at one takes no further part."""

from collections.abc import Callable
from typing import TypeGuard, TypeVar

from whisperfleet.contract.codes import Code
from whisperfleet.engine.ctranslate2.batches import is_out_of_memory
from whisperfleet.engine.interface import Answer
from whisperfleet.errors import JobError, TransientError

__all__ = ["Stages", "may_be_the_devices_fault"]

T = TypeVar("T")


class Stages:
    """The steps that `count` windows take together, each known by its position.

    `answers` are those of the windows that have one.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self.answers: dict[int, Answer] = {}

    def take(self, step: Callable[[list[int]], list[T | Exception]]) -> dict[int, T]:
        """Take the windows that have no answer yet one step further; a failure is an answer."""
        left = [index for index in range(self._count) if index not in self.answers]
        passed = {}
        for index, result in zip(left, step(left), strict=True):
            if isinstance(result, Exception):
                self.answers[index] = _as_job_error(result)
            else:
                passed[index] = result
        return passed

    def in_order(self) -> list[Answer]:
        """Return the answers of all windows."""
        return [self.answers[index] for index in range(self._count)]


def may_be_the_devices_fault(answer: Answer) -> TypeGuard[JobError]:
    """Say whether a window failed in a way that may be every window's."""
    return isinstance(answer, JobError) and answer.code is Code.ENGINE_FAILED


def _as_job_error(error: Exception) -> JobError:
    if isinstance(error, JobError):
        return error
    if is_out_of_memory(error):
        answer = TransientError(
            Code.OUT_OF_MEMORY,
            "the device ran out of memory on a window; take a smaller model or compute type, or "
            "give the worker a device of its own",
        )
    else:
        answer = TransientError(
            Code.ENGINE_FAILED,
            f"the engine failed on a window: {error}; another worker may succeed",
        )
    answer.__cause__ = error
    return answer

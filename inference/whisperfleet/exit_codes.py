"""What the exit code of a process says: of every command, the worker and the operator."""

from enum import IntEnum

__all__ = ["EPILOG", "ExitCode", "after_signal"]


class ExitCode(IntEnum):
    """The exit codes."""

    DONE = 0
    NOT_DONE = 1
    USAGE = 2
    DEVICE = 3
    MODEL = 4
    QUEUE = 5
    UNFINISHED = 6
    GONE = 7
    OUTPUT = 8
    INTERRUPTED = 130

    @property
    def meaning(self) -> str:
        """What it says to a person."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.DONE: "all done",
    ExitCode.NOT_DONE: "a job did not end as done, gave wrong words, or a question was denied",
    ExitCode.USAGE: "usage or configuration: a setting is wrong",
    ExitCode.DEVICE: "the device cannot run the model",
    ExitCode.MODEL: "the model cannot be found or loaded",
    ExitCode.QUEUE: "Redis cannot be reached, or refuses",
    ExitCode.UNFINISHED: "not finished yet, or out of time",
    ExitCode.GONE: "done, but the result is gone: deleted or faded",
    ExitCode.OUTPUT: "standard output cannot be written",
    ExitCode.INTERRUPTED: "interrupted",
}


def after_signal(number: int) -> int:
    """Return what a shell reports of a process that a signal has ended."""
    return 128 + number


EPILOG = "**Exit codes:** " + "; ".join(f"**{code:d}** {code.meaning}" for code in ExitCode) + "."
"""All of them, for the help of the command line."""

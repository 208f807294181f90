"""What the exit code of every command says to a script."""

from enum import IntEnum

from whisperfleet.errors import DeviceUnavailableError, ModelUnavailableError, QueueUnavailableError

__all__ = ["EPILOG", "ExitCode"]


class ExitCode(IntEnum):
    """The exit codes; the errors of a start bring their own."""

    DONE = 0
    NOT_DONE = 1
    USAGE = 2
    DEVICE = DeviceUnavailableError.exit_code
    MODEL = ModelUnavailableError.exit_code
    QUEUE = QueueUnavailableError.exit_code
    UNFINISHED = 6
    GONE = 7
    OUTPUT = 8
    INTERRUPTED = 130


_MEANINGS = {
    ExitCode.DONE: "all done",
    ExitCode.NOT_DONE: "a job did not end as done, gave wrong words, or a question was denied",
    ExitCode.USAGE: "usage or configuration",
    ExitCode.DEVICE: "the device cannot run the model",
    ExitCode.MODEL: "the model cannot be found or loaded",
    ExitCode.QUEUE: "Redis cannot be reached, or refuses",
    ExitCode.UNFINISHED: "not finished yet, or out of time",
    ExitCode.GONE: "done, but the result is gone: deleted or faded",
    ExitCode.OUTPUT: "standard output cannot be written",
    ExitCode.INTERRUPTED: "interrupted",
}

EPILOG = (
    "**Exit codes:** " + "; ".join(f"**{code:d}** {text}" for code, text in _MEANINGS.items()) + "."
)

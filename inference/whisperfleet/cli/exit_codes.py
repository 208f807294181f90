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


_MEANINGS = {
    ExitCode.DONE: "all done",
    ExitCode.NOT_DONE: "a job did not end as done, or gave wrong words",
    ExitCode.USAGE: "usage or configuration",
    ExitCode.DEVICE: "the device cannot run the model",
    ExitCode.MODEL: "the model cannot be found or loaded",
    ExitCode.QUEUE: "Redis cannot be reached",
    ExitCode.UNFINISHED: "not finished yet, or out of time",
}

EPILOG = (
    "**Exit codes:** " + "; ".join(f"**{code:d}** {text}" for code, text in _MEANINGS.items()) + "."
)

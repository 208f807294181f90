"""Everything that can go wrong, as one tree.

::

    WhisperfleetError
    ├── ConfigurationError        a setting is wrong; the process ends with exit code 2
    ├── StartupError              the process cannot start its work; it ends with `exit_code`
    │   ├── DeviceUnavailableError     the asked-for device cannot run the model (3)
    │   ├── ModelUnavailableError      the model cannot be found or loaded (4)
    │   └── QueueUnavailableError      Redis cannot be reached or refuses us (5)
    ├── PartlySentError           some of several jobs were sent; has their ids
    ├── ResultGoneError           a job has ended and its result is not there any more
    ├── ClientClosedError         the client was closed, perhaps while somebody waited
    ├── EngineLostError           the device failed at work; the process ends with exit code 3
    ├── MachineError              the worker's machine lacks something: no job is at fault
    ├── OutputError               standard output cannot be written
    └── JobError                  one job cannot go on; carries a `Code` and a sentence
        ├── InputError            the input is at fault: the job is `failed`, never retried
        ├── TransientError        the world is at fault: the job may be tried again
        └── MalformedEntryError   the entry cannot be read: the job is `dead`, redrivable

The sentence of a `JobError` reaches the producer. It names the fix and never carries a transcript,
a prompt or the query part of an address.
"""

from collections.abc import Iterable, Sequence

from whisperfleet.contract.codes import Code
from whisperfleet.exit_codes import ExitCode

__all__ = [
    "ClientClosedError",
    "ConfigurationError",
    "DeviceUnavailableError",
    "EngineLostError",
    "InputError",
    "JobError",
    "MachineError",
    "MalformedEntryError",
    "ModelUnavailableError",
    "OutputError",
    "PartlySentError",
    "QueueUnavailableError",
    "ResultGoneError",
    "StartupError",
    "TransientError",
    "WhisperfleetError",
]


_SHOWN_IDS = 20


class WhisperfleetError(Exception):
    """The root of the tree."""


class ConfigurationError(WhisperfleetError):
    """A setting is missing, malformed or contradicts another."""


class StartupError(WhisperfleetError):
    """The process cannot start its work."""

    exit_code = ExitCode.NOT_DONE


class DeviceUnavailableError(StartupError):
    """The device that was asked for cannot run the model."""

    exit_code = ExitCode.DEVICE


class ModelUnavailableError(StartupError):
    """The model cannot be found, read or fetched."""

    exit_code = ExitCode.MODEL


class QueueUnavailableError(StartupError):
    """Redis cannot be reached, or refuses the credentials or the protocol version."""

    exit_code = ExitCode.QUEUE


class PartlySentError(WhisperfleetError):
    """Some of several jobs were sent, and then something failed, which is the cause.

    `ids` are in the order of the jobs as far as they were tried; None where Redis refused one, or
    where it did not answer: whether that one arrived is not known.
    """

    def __init__(self, ids: Sequence[str | None], reason: str) -> None:
        sent = [job_id for job_id in ids if job_id is not None]
        shown = ", ".join(sent[:_SHOWN_IDS]) + (", ..." if len(sent) > _SHOWN_IDS else "")
        super().__init__(
            f"{len(sent)} of the first {len(ids)} jobs were sent ({shown}) and go on, all of them "
            f"in `ids`; then: {reason}"
        )
        self.ids = tuple(ids)


class ResultGoneError(WhisperfleetError):
    """Nothing can come for these jobs.

    They ended and their results were deleted or have faded, or nothing is left of them at all.
    """

    def __init__(self, job_ids: Iterable[str]) -> None:
        self.job_ids = tuple(sorted(job_ids))
        super().__init__(
            f"{len(self.job_ids)} jobs have ended without a result that is still there, "
            f"{self.job_ids[0]} among them: it was deleted, or has faded; send them again under "
            "other ids if you need the words"
        )


class ClientClosedError(WhisperfleetError):
    """The client was closed before this, or while it was under way."""


class EngineLostError(WhisperfleetError):
    """The engine failed in a way that stays: no job of this process can go on."""

    exit_code = DeviceUnavailableError.exit_code


class MachineError(WhisperfleetError):
    """The worker's machine lacks room, descriptors, memory or processes: no job could go on here.

    Its sentence says what lacks and what to do. It may name a folder of the worker, so it is for
    the worker's own log and health and reaches no producer.
    """


class OutputError(WhisperfleetError):
    """The answer cannot be written to standard output."""


class JobError(WhisperfleetError):
    """One job cannot go on.

    `code` is for programs, `message` for people.
    """

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(f"{code.value}: {message}")
        self.code = code
        self.message = message


class InputError(JobError):
    """What the producer sent is at fault; trying again would give the same."""


class TransientError(JobError):
    """Something outside the job is at fault; trying again may succeed."""


class MalformedEntryError(JobError):
    """The entry is not a job that this version can read."""

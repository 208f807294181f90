"""What the engine cannot do is refused before anything is done for the job."""

from whisperfleet.contract.codes import Code
from whisperfleet.contract.job import Job, Task
from whisperfleet.engine import Capabilities
from whisperfleet.errors import InputError

__all__ = ["refuse_unable"]


def refuse_unable(able: Capabilities, job: Job) -> None:
    """Raise InputError for a job that wants what the engine cannot do: it would never go better."""
    if job.language is not None and job.language not in able.languages:
        known = "only English" if able.languages == {"en"} else f"{len(able.languages)} languages"
        raise InputError(
            Code.UNKNOWN_LANGUAGE,
            f"this model does not know {job.language!r}, it knows {known}; leave `language` out, "
            "or send the job to a fleet with another model",
        )
    if job.task is Task.TRANSLATE and not able.translate:
        raise InputError(
            Code.INVALID_JOB,
            "this fleet's engine does not translate; leave `task` out, or send the job to a fleet "
            "with another engine",
        )
    if job.word_timestamps and not able.words:
        raise InputError(
            Code.INVALID_JOB,
            "this fleet's engine does not tell the times of words; leave `word_timestamps` out, or "
            "send the job to a fleet with another engine",
        )

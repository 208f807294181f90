"""How jobs ended, on standard output and as an exit code."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from whisperfleet.cli.messages import print_error, print_note
from whisperfleet.cli.output import print_json, print_text
from whisperfleet.contract.job import Format
from whisperfleet.contract.result import Result
from whisperfleet.contract.states import State
from whisperfleet.exit_codes import ExitCode
from whisperfleet.formats import render

if TYPE_CHECKING:
    from whisperfleet.client import Client, JobStatus

__all__ = ["UNKNOWN", "Submission", "code_of", "print_endings", "worst"]


@dataclass(frozen=True, slots=True)
class Submission:
    """A job, and what the person calls it."""

    source: str
    job_id: str

    def names(self) -> dict[str, str]:
        """Return what leads to the job, for JSON: its id, and its source if it was just sent."""
        sent = self.source != self.job_id
        return {"source": self.source, "id": self.job_id} if sent else {"id": self.job_id}


def print_endings(
    client: "Client",
    submissions: Sequence[Submission],
    results: Mapping[str, Result],
    format: Format,  # noqa: A002 - the field's name
    gone: Collection[str] = (),
    *,
    as_json: bool,
) -> ExitCode:
    """Print each job's words, or why there are none, in order; return the exit code of them all.

    Words of several jobs have their sources' names above them. With `as_json` each job is one line.
    For the jobs that are `gone` no result can come.
    """
    codes = []
    for submission in submissions:
        job_id = submission.job_id
        if (result := results.get(job_id)) is None:
            ending = _without_result(client, job_id, is_gone=job_id in gone)
            # It may have ended a moment ago.
            result = client.result(job_id) if ending.has_ended else None
        if result is None:
            codes.append(ending.code)
            if as_json:
                print_json({**submission.names(), "state": ending.state})
            print_error(f"{submission.source}: {ending.sentence}")
        else:
            codes.append(ExitCode.DONE if result.state is State.DONE else ExitCode.NOT_DONE)
            _print_result(submission, result, format, as_json=as_json, alone=len(submissions) == 1)
    return worst(codes)


def _print_result(
    submission: Submission,
    result: Result,
    format: Format,  # noqa: A002
    *,
    as_json: bool,
    alone: bool,
) -> None:
    if as_json:
        print_json({**submission.names(), **result.model_dump(mode="json")})
    elif result.state is State.DONE:
        if not alone:
            print_text(f"==> {submission.source} <==")
        print_text(_words(result, format))
    # What the words lack, or are unsure of.
    for warning in result.warnings:
        print_note(f"{submission.source}: warning ({warning.code}): {warning.message}")
    if result.error is not None:
        print_error(
            f"{submission.source}: {result.state} ({result.error.code}): {result.error.message}"
        )


def code_of(status: "JobStatus | None") -> ExitCode:
    """Return the exit code for a job in this state; None is a job of which nothing is known."""
    if status is None or not status.has_ended:
        return ExitCode.UNFINISHED
    return ExitCode.DONE if status.state is State.DONE else ExitCode.NOT_DONE


def worst(codes: Sequence[ExitCode]) -> ExitCode:
    """Return the exit code for several jobs together."""
    return next(
        (code for code in (ExitCode.NOT_DONE, ExitCode.GONE, ExitCode.UNFINISHED) if code in codes),
        ExitCode.DONE,
    )


UNKNOWN = (
    "nothing is known of this job; with an id of your own it may not have begun. Else check the id "
    "and --queue, and whether its result has faded, after a day unless the workers were told "
    "otherwise"
)


@dataclass(frozen=True, slots=True)
class _NoResult:
    """Where a job is that has no result, as a sentence and as an exit code."""

    sentence: str
    code: ExitCode = ExitCode.UNFINISHED
    state: str | None = None
    has_ended: bool = False


def _without_result(client: "Client", job_id: str, *, is_gone: bool) -> _NoResult:
    from redis.exceptions import NoPermissionError  # noqa: PLC0415 - redis-py takes a while

    try:
        status = client.status(job_id)
    except NoPermissionError:
        return _NoResult(
            "it has not ended, or its result has faded; to learn more this account needs the "
            "rights of a reader, as docs/protocol.md has them"
        )
    if status is None:
        if is_gone:
            sentence = "nothing is left of this job in Redis, so no words can come; submit it again"
            return _NoResult(sentence, ExitCode.GONE)
        return _NoResult(UNKNOWN)
    if not status.has_ended:
        sentence = f"still {status.state}; ask again with: whisperfleet result {job_id}"
        return _NoResult(sentence, state=status.state)
    why = f" ({status.code})" if status.code else ""
    sentence = (
        f"{status.state}{why}, and its result is gone: somebody deleted it, or it has faded; "
        "submit it under another id if you need the words"
    )
    code = ExitCode.GONE if status.state is State.DONE else ExitCode.NOT_DONE
    return _NoResult(sentence, code, status.state, has_ended=True)


def _words(result: Result, format: Format) -> str:  # noqa: A002
    if (rendering := result.renderings.get(format)) is not None:
        return rendering
    if result.transcript is None:
        return ""
    return render(result.transcript, result.task, format)

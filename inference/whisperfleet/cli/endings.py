"""How jobs ended, on standard output and as an exit code."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from whisperfleet.cli.exit_codes import ExitCode
from whisperfleet.cli.output import print_error, print_json, print_note, print_text
from whisperfleet.contract.job import Format
from whisperfleet.contract.result import Result
from whisperfleet.contract.states import State
from whisperfleet.formats import render

if TYPE_CHECKING:
    from whisperfleet.client import Client

__all__ = ["Submission", "exit_code_of", "print_endings"]


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
    *,
    as_json: bool,
) -> ExitCode:
    """Print each job's words, or why there are none, in order; return the exit code of them all.

    Words of several jobs have their sources' names above them. With `as_json` each job is one line.
    """
    states = []
    for submission in submissions:
        result = results.get(submission.job_id)
        state = result.state if result else _state_of(client, submission.job_id)
        states.append(state)
        if as_json:
            document = result.model_dump(mode="json") if result else {"state": state}
            print_json({**submission.names(), **document})
        elif result and result.state is State.DONE:
            if len(submissions) > 1:
                print_text(f"==> {submission.source} <==")
            print_text(_words(result, format))
        _print_warnings(submission, result)
        print_why_not(submission, result, state)
    return exit_code_of(states)


def _print_warnings(submission: Submission, result: Result | None) -> None:
    """Say on standard error what the words lack, or are unsure of."""
    for warning in result.warnings if result else ():
        print_note(f"{submission.source}: warning ({warning.code}): {warning.message}")


def print_why_not(submission: Submission, result: Result | None, state: State | None) -> None:
    """Say on standard error why a job has no words, unless it has some."""
    if result is None:
        print_error(f"{submission.source}: {_why_unfinished(submission.job_id, state)}")
    elif result.error is not None:
        print_error(
            f"{submission.source}: {result.state} ({result.error.code}): {result.error.message}"
        )


def exit_code_of(states: Sequence[State | None]) -> ExitCode:
    """Return the exit code for jobs in these states; None is a job of which nothing is known."""
    unfinished = {State.QUEUED, State.RUNNING, None}
    if any(state not in unfinished | {State.DONE} for state in states):
        return ExitCode.NOT_DONE
    return ExitCode.UNFINISHED if unfinished & set(states) else ExitCode.DONE


def _state_of(client: "Client", job_id: str) -> State | None:
    status = client.status(job_id)
    return status.state if status else None


def _why_unfinished(job_id: str, state: State | None) -> str:
    match state:
        case None:
            return (
                "nothing is known of this job; with an id of your own it may not have begun. Else "
                "check the id and --queue, and whether its result has faded, after a day unless "
                "the workers were told otherwise"
            )
        case State.QUEUED | State.RUNNING:
            return f"still {state}; ask again with: whisperfleet result {job_id}"
        case _:
            return f"{state}, and its result has faded; submit it again if you need the words"


def _words(result: Result, format: Format) -> str:  # noqa: A002
    if (rendering := result.renderings.get(format)) is not None:
        return rendering
    if result.transcript is None:
        return ""
    return render(result.transcript, result.task, format)

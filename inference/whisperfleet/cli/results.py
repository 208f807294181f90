"""`whisperfleet result` and `whisperfleet status`."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from whisperfleet.cli.connection import open_client
from whisperfleet.cli.endings import UNKNOWN, Submission, code_of, print_endings, worst
from whisperfleet.cli.messages import print_error
from whisperfleet.cli.options import (
    DEFAULT_QUEUE_ID,
    DEFAULT_REDIS_URL,
    JsonOption,
    QueueOption,
    RedisOption,
)
from whisperfleet.cli.output import print_json, print_text
from whisperfleet.contract.job import Format

if TYPE_CHECKING:
    from whisperfleet.client import JobStatus

__all__ = ["result", "status"]

JobIdsArgument = Annotated[
    list[str], typer.Argument(metavar="ID...", help="Job ids, as `submit` printed them.")
]


def result(
    job_ids: JobIdsArgument,
    format: Annotated[  # noqa: A002 - the option's name
        Format, typer.Option("--format", "-f", help="How to print the words.")
    ] = Format.TXT,
    redis: RedisOption = DEFAULT_REDIS_URL,
    queue: QueueOption = DEFAULT_QUEUE_ID,
    as_json: JsonOption = False,
) -> None:
    """Print the words of jobs that have ended.

    With --json: the whole result of each job, one a line.
    """
    with open_client(redis, queue) as client:
        found = {job_id: client.result(job_id) for job_id in job_ids}
        results = {job_id: result for job_id, result in found.items() if result}
        submissions = [Submission(job_id, job_id) for job_id in job_ids]
        raise typer.Exit(print_endings(client, submissions, results, format, as_json=as_json))


def status(
    job_ids: JobIdsArgument,
    redis: RedisOption = DEFAULT_REDIS_URL,
    queue: QueueOption = DEFAULT_QUEUE_ID,
    as_json: JsonOption = False,
) -> None:
    """Print where jobs are in their lives.

    The exit code says it too: 0 all done, 1 one ended otherwise, 6 one has not ended. With --json:
    an object for each job, one a line.
    """
    codes = []
    with open_client(redis, queue) as client:
        for job_id in job_ids:
            found = client.status(job_id)
            codes.append(code_of(found))
            if as_json:
                print_json(_document(found) if found else {"id": job_id, "state": None})
            elif found:
                print_text(_describe(found))
            if found is None:
                print_error(f"{job_id}: {UNKNOWN}")
    raise typer.Exit(worst(codes))


def _document(status: "JobStatus") -> dict[str, Any]:
    document = {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(status).items()
    }
    # As programs know it.
    document["source"] = document.pop("stream")
    return document


def _describe(status: "JobStatus") -> str:
    lines = {
        "job": status.id,
        "state": status.state + (", cancel requested" if status.cancel_requested else ""),
        "code": status.code,
        "stream": status.stream,
        "attempts": status.epoch,
        "handed back": status.releases,
        "retries": status.retries,
        "worker": status.worker,
        "tenant": status.tenant,
        "queued at": _moment(status.enqueued_at),
        "begun at": _moment(status.claimed_at),
        "ended at": _moment(status.finished_at),
    }
    return "".join(f"{name:<12} {value}\n" for name, value in lines.items() if value)


def _moment(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(sep=" ", timespec="milliseconds")

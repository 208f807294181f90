"""What the people on call do with a queue: `cancel`, `dlq` and `queue`."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from whisperfleet.cli.connection import open_admin, open_client
from whisperfleet.cli.messages import confirm, print_error
from whisperfleet.cli.options import (
    DEFAULT_QUEUE_ID,
    DEFAULT_REDIS_URL,
    JsonOption,
    QueueOption,
    RedisOption,
)
from whisperfleet.cli.output import print_json, print_text
from whisperfleet.cli.rendering import print_records
from whisperfleet.contract.job import Job, describe_source
from whisperfleet.contract.times import entry_time
from whisperfleet.errors import ConfigurationError, JobError
from whisperfleet.exit_codes import EPILOG, ExitCode

if TYPE_CHECKING:
    from whisperfleet.client import QueueStats, TenantUsage
    from whisperfleet.contract.events import DeadLetter

__all__ = ["cancel", "dead_letters", "queue_commands"]

dead_letters = typer.Typer(
    help="Look at dead letters, send them again, or drop them.", epilog=EPILOG
)
queue_commands = typer.Typer(
    help="Look at a queue as a whole, empty it, or delete it.", epilog=EPILOG
)

# What a producer wrote for the model alone, and what may hold a signature.
_PRIVATE_FIELDS = {b"audio", b"prompt", b"url"}

_CANCELLED = {
    "cancelled": "cancelled before it began",
    "running": "its worker stops it with its next sign of life",
    "ended": "too late, it has ended; see: whisperfleet result {}",
    "noted": "not known yet; if it comes, it does not run",
    "unknown": "there is no such job; check the id and --queue",
}
_DROPPED = {
    "dropped": "forgotten; the id of its job is free",
    "unknown": "no such dead letter and no such dead job; see: whisperfleet dlq list",
    "alive": "the job is not dead, so it stays; see: whisperfleet status {}",
}
_USAGE_COLUMNS = (
    *("tenant", "priority", "jobs", "cached", "attempts", "windows"),
    *("audio s", "speech s", "device s", "queue s"),
)
_REDRIVEN = {
    "redriven": "sent again, under its own job id",
    "unknown": "no such dead letter that can be read, or it was sent again before; see: "
    "whisperfleet dlq list",
    "empty": "the letter does not hold the whole job; submit it anew",
    "alive": "the job is not dead any more; see: whisperfleet status {}",
}


def cancel(
    job_ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Job ids.")],
    redis: RedisOption = DEFAULT_REDIS_URL,
    queue: QueueOption = DEFAULT_QUEUE_ID,
    as_json: JsonOption = False,
) -> None:
    """Stop jobs, wherever they are. Exit code 1 where one had ended or is not known."""
    with open_client(redis, queue) as client:
        answers = {job_id: client.cancel(job_id).value for job_id in job_ids}
    _print_answers(answers, _CANCELLED, refused={"ended", "unknown"}, as_json=as_json)


@dead_letters.command("list", epilog=EPILOG)
def list_letters(
    redis: RedisOption = DEFAULT_REDIS_URL,
    queue: QueueOption = DEFAULT_QUEUE_ID,
    as_json: JsonOption = False,
) -> None:
    """List the dead letters, oldest first. With --json: an object for each, one a line."""
    with open_admin(redis, queue) as admin:
        letters = admin.dead_letters()
        if as_json:
            for letter_id, letter in letters:
                print_json(_document(letter_id, letter))
            return
        rows = [
            (
                *(letter_id, letter.id, _moment(letter_id) or "", str(letter.code)),
                *map(str, (letter.deliveries, letter.releases, letter.retries)),
            )
            for letter_id, letter in letters
        ]
    print_records(("letter", "job", "died at", "code", "begun", "handed back", "retries"), rows)


@dead_letters.command("show", epilog=EPILOG)
def show_letter(
    letter_id: Annotated[str, typer.Argument(metavar="LETTER", help="As `dlq list` printed it.")],
    redis: RedisOption = DEFAULT_REDIS_URL,
    queue: QueueOption = DEFAULT_QUEUE_ID,
    as_json: JsonOption = False,
) -> None:
    """Show why a job died and what happened to it, without its audio, prompt and full address."""
    with open_admin(redis, queue) as admin:
        letter = admin.dead_letter(letter_id)
    if letter is None:
        print_error(f"{letter_id}: {_REDRIVEN['unknown']}")
        raise typer.Exit(ExitCode.NOT_DONE)
    document = _document(letter_id, letter)
    if as_json:
        print_json(document)
        return
    for name, value in document.items():
        if value not in ("", None, {}):
            print_text(f"{name.replace('_', ' '):<12} {value}")


@dead_letters.command(epilog=EPILOG)
def redrive(
    letter_ids: Annotated[
        list[str] | None, typer.Argument(metavar="LETTER...", help="As `dlq list` printed them.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All that there are now.")] = False,
    redis: RedisOption = DEFAULT_REDIS_URL,
    queue: QueueOption = DEFAULT_QUEUE_ID,
    as_json: JsonOption = False,
) -> None:
    """Send the jobs of dead letters again. Twice makes one run."""
    if bool(letter_ids) == every:
        raise ConfigurationError("name the letters to send again, or give --all, and not both")
    with open_admin(redis, queue) as admin:
        wanted = letter_ids or [letter_id for letter_id, _ in admin.dead_letters()]
        answers = {letter_id: admin.redrive(letter_id).value for letter_id in wanted}
    _print_answers(answers, _REDRIVEN, refused={"unknown", "empty", "alive"}, as_json=as_json)


@dead_letters.command("drop", epilog=EPILOG)
def drop_letters(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="LETTER|ID...",
            help="As `dlq list` printed them; or ids of dead jobs, also of such as have no letter.",
        ),
    ],
    redis: RedisOption = DEFAULT_REDIS_URL,
    queue: QueueOption = DEFAULT_QUEUE_ID,
    as_json: JsonOption = False,
) -> None:
    """Forget dead letters and their jobs, so that the jobs' ids are free at once.

    A job whose letter was deleted by hand, or because there were too many, is named by its own id.
    """
    with open_admin(redis, queue) as admin:
        answers = {name: admin.drop_letter(name).value for name in names}
    _print_answers(answers, _DROPPED, refused={"unknown", "alive"}, as_json=as_json)


@queue_commands.command(epilog=EPILOG)
def stats(
    redis: RedisOption = DEFAULT_REDIS_URL,
    queue: QueueOption = DEFAULT_QUEUE_ID,
    as_json: JsonOption = False,
) -> None:
    """Print how much waits and runs, how long the oldest has waited, the totals, and the usage.

    A line for each stream: of each priority, and of each tenant that has its own. Then one for each
    tenant and priority with what its jobs have used that ended.
    """
    with open_admin(redis, queue) as admin:
        found, usage = admin.stats(), admin.usage()
    if as_json:
        print_json(_stats_document(found) | {"usage": [asdict(used) for used in usage]})
        return
    rows = []
    for stream in found.streams:
        since = stream.oldest_enqueued_at
        oldest = since.isoformat(timespec="seconds") if since else ""
        rows.append((stream.name, str(stream.waiting), str(stream.running), oldest))
    print_records(("stream", "waiting", "running", "oldest since"), rows)
    totals = sorted(found.totals.items())
    for name, count in [("dead letters", found.dead_letters), *totals]:
        print_text(f"{name:<16} {count}")
    if usage:
        print_records(_USAGE_COLUMNS, map(_usage_row, usage))


@queue_commands.command(epilog=EPILOG)
def purge(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    redis: RedisOption = DEFAULT_REDIS_URL,
    queue: QueueOption = DEFAULT_QUEUE_ID,
    as_json: JsonOption = False,
) -> None:
    """Cancel every job of the queue that has not ended, of whatever priority and tenant."""
    if not yes:
        confirm(f"Cancel every job of {queue} that has not ended?")
    with open_admin(redis, queue) as admin:
        cancelled = admin.purge()
    if as_json:
        print_json({"cancelled": cancelled})
    else:
        print_text(f"{cancelled} waiting jobs are cancelled; running ones are being stopped")


@queue_commands.command(epilog=EPILOG)
def drop(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    redis: RedisOption = DEFAULT_REDIS_URL,
    queue: QueueOption = DEFAULT_QUEUE_ID,
    as_json: JsonOption = False,
) -> None:
    """Delete the queue with all it holds: jobs, results, dead letters. Stop its workers first.

    What a deleted TranscriptionService leaves behind goes this way.
    """
    with open_admin(redis, queue) as admin:
        if not yes:
            found = admin.stats()
            left = sum(stream.length for stream in found.streams)
            confirm(
                f"Delete {queue} with {left} jobs that have not ended, {found.dead_letters} dead "
                "letters and every result?"
            )
        dropped = admin.drop()
    if as_json:
        print_json({"keys": dropped})
    else:
        print_text(f"{queue} is deleted: {dropped} keys of Redis")


def _usage_row(used: "TenantUsage") -> tuple[str, ...]:
    tenant = used.tenant or ""
    seconds = used.audio_seconds, used.speech_seconds, used.device_seconds, used.queue_seconds
    return (
        # Anybody may send under any name.
        tenant if tenant.isprintable() else ascii(tenant),
        used.priority,
        *map(str, (used.jobs, used.cached, used.attempts, used.windows)),
        *(f"{amount:.3f}" for amount in seconds),
    )


def _print_answers(
    answers: dict[str, str], sentences: dict[str, str], refused: Iterable[str], *, as_json: bool
) -> None:
    for name, answer in answers.items():
        sentence = f"{name}: {sentences[answer].format(name)}"
        if as_json:
            print_json({"id": name, "answer": answer})
        elif answer not in refused:
            print_text(sentence)
        if answer in refused:
            print_error(sentence)
    if set(answers.values()) & set(refused):
        raise typer.Exit(ExitCode.NOT_DONE)


def _document(letter_id: str, letter: "DeadLetter") -> dict[str, Any]:
    return {
        "letter": letter_id,
        "job": letter.id,
        "died_at": _moment(letter_id),
        "source": _describe_source(letter),
        "fields": {
            name.decode("utf-8", "replace"): value.decode("utf-8", "replace")
            for name, value in letter.fields.items()
            if name not in _PRIVATE_FIELDS
        },
        **letter.model_dump(mode="json", exclude={"id", "v"}),
    }


def _describe_source(letter: "DeadLetter") -> str | None:
    if size := letter.left_out.get(b"audio"):
        return f"inline audio, {size} bytes"
    try:
        return describe_source(Job.from_fields(letter.fields))
    except JobError:
        return None


def _moment(letter_id: str) -> str | None:
    """Return when an entry was written, where its id tells that."""
    written = entry_time(letter_id)
    return written.isoformat(timespec="seconds") if written else None


def _stats_document(stats: "QueueStats") -> dict[str, Any]:
    document = asdict(stats)
    for stream in document["streams"]:
        # As programs know it.
        stream["source"] = stream.pop("name")
        if since := stream["oldest_enqueued_at"]:
            stream["oldest_enqueued_at"] = since.isoformat()
    return document

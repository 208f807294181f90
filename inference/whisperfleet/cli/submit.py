"""`whisperfleet submit`: from files and addresses to jobs, and with --wait to their words."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from whisperfleet.cli.connection import open_client
from whisperfleet.cli.endings import Submission, print_endings
from whisperfleet.cli.messages import print_note
from whisperfleet.cli.options import (
    DEFAULT_QUEUE_ID,
    DEFAULT_REDIS_URL,
    JsonOption,
    QueueOption,
    RedisOption,
)
from whisperfleet.cli.output import print_json, print_text
from whisperfleet.cli.rendering import progress
from whisperfleet.cli.sources import STANDARD_INPUT, Source, encoded, find_source
from whisperfleet.contract.job import MAX_TRACK, Channel, Format, Job, Task
from whisperfleet.contract.keys import DEFAULT_PRIORITIES, Priority
from whisperfleet.contract.times import MAX_SECONDS
from whisperfleet.errors import ConfigurationError, InputError, ResultGoneError

if TYPE_CHECKING:
    from whisperfleet.client import Client
    from whisperfleet.contract.result import Result

__all__ = ["submit"]

_PRIORITIES = ",".join(priority.name for priority in DEFAULT_PRIORITIES)


def submit(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|URL...",
            help="Audio: a file of at most 1 MiB, `-` for standard input, or an https:// address.",
            show_default=False,
        ),
    ],
    language: Annotated[
        str | None,
        typer.Option(
            "--language",
            "-l",
            help="Spoken language: a code (en, pt-BR) or its name in English. Absent: detected.",
        ),
    ] = None,
    task: Annotated[Task, typer.Option(help="`translate` gives English.")] = Task.TRANSCRIBE,
    prompt: Annotated[
        str | None,
        typer.Option(help="Text that precedes the audio: names and spelling to expect."),
    ] = None,
    word_timestamps: Annotated[
        bool, typer.Option("--word-timestamps", help="Add the start and end of each word.")
    ] = False,
    channel: Annotated[
        Channel,
        typer.Option(help="A channel alone, or with `split` the words of each, named by it."),
    ] = Channel.MIX,
    track: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MAX_TRACK,
            help="Which audio track of the file, from 1 on.",
            show_default="the file's default",
        ),
    ] = None,
    formats: Annotated[
        list[Format] | None,
        typer.Option(
            "--format",
            "-f",
            help="A rendering to put into the result; repeatable. --wait prints the first one.",
        ),
    ] = None,
    deadline: Annotated[
        str | None,
        typer.Option(help="ISO 8601 with an offset, or Unix seconds. Not begun by then: expired."),
    ] = None,
    metadata: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="An object of at most 4 KiB that comes back."),
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="Whose job it is.")] = None,
    job_id: Annotated[
        str | None,
        typer.Option("--id", help="An id of your own; submitting it twice runs it once."),
    ] = None,
    priority: Annotated[str, typer.Option(help="One of --priorities.")] = "normal",
    priorities: Annotated[
        str,
        typer.Option(
            envvar="WHISPERFLEET_PRIORITIES",
            help="The queue's, by commas. Weights, as its workers have them, may follow: name:8.",
        ),
    ] = _PRIORITIES,
    wait: Annotated[
        bool, typer.Option("--wait", "-w", help="Wait for the jobs and print their words.")
    ] = False,
    timeout: Annotated[
        float | None,
        typer.Option(min=0, help="Seconds to wait at most; the jobs go on.", show_default="no end"),
    ] = None,
    redis: RedisOption = DEFAULT_REDIS_URL,
    queue: QueueOption = DEFAULT_QUEUE_ID,
    as_json: JsonOption = False,
) -> None:
    """Send audio to the queue.

    Prints the id of each job, one a line and in order; with --wait its words instead. A file of
    more than 1 MiB does not fit into a job: store it where the workers can fetch it, and give its
    address. With --json: an object for each job, one a line.
    """
    if timeout is not None and not wait:
        raise ConfigurationError("--timeout says how long to wait; add --wait, or leave it out")
    if timeout is not None and not timeout <= MAX_SECONDS:
        raise ConfigurationError(
            f"--timeout is {timeout}; give a number of seconds, or leave it out to wait for ever"
        )
    found = [find_source(name) for name in sources]
    _check_together(found, job_id)
    options = {
        "id": job_id,
        "language": language,
        "task": task.value,
        "prompt": prompt,
        "word_timestamps": "1" if word_timestamps else None,
        "channel": None if channel is Channel.MIX else channel.value,
        "track": None if track is None else str(track),
        "formats": ",".join(formats or ()),
        "deadline": deadline,
        "metadata": metadata,
        "tenant": tenant,
    }
    fields = {
        name.encode(): encoded(f"the option {name.replace('_', '-')}", value)
        for name, value in options.items()
        if value
    }
    submissions: list[Submission] = []
    known = _read_priorities(priorities)
    with open_client(redis, queue, known) as client, _ids_if_cut_short(submissions):
        _send(client, found, fields, priority, submissions)
        if not wait:
            _print_ids(submissions, as_json=as_json)
            return
        _say_if_nobody_reads(client, priority)
        results, gone = _follow(client, submissions, timeout)
        shown = formats[0] if formats else Format.TXT
        code = print_endings(client, submissions, results, shown, gone, as_json=as_json)
    raise typer.Exit(code)


def _read_priorities(text: str) -> list[Priority]:
    names = [part.partition(":")[0].strip() for part in text.split(",")]
    # Who sends does not weigh.
    found = [Priority(name, weight=1) for name in names if name]
    if not found:
        raise ConfigurationError("--priorities names none; leave it out, or write name,name")
    return found


def _check_together(sources: Sequence[Source], job_id: str | None) -> None:
    if job_id is not None and len(sources) > 1:
        raise ConfigurationError(
            "--id names one job; submit the files one by one, each with its own"
        )
    if sum(source.name == STANDARD_INPUT for source in sources) > 1:
        raise ConfigurationError("standard input can be read once; name `-` only once")


@contextmanager
def _ids_if_cut_short(submissions: Iterable[Submission]) -> Iterator[None]:
    """Tell the ids of what was sent when the rest does not happen: nothing else leads to it."""
    try:
        yield
    except BaseException:
        for submission in submissions:
            print_note(f"{submission.source} goes on: whisperfleet result {submission.job_id}")
        raise


def _send(
    client: "Client",
    sources: Sequence[Source],
    options: Mapping[bytes, bytes],
    priority: str,
    submissions: list[Submission],
) -> None:
    """Send a job for each source, and note it in `submissions` at once."""
    with progress() as bars:
        for source in bars.track(sources, description="sending"):
            try:
                job = Job.from_fields({**options, **source.fields()})
                job_id = client.submit(job, priority)
            except InputError as error:
                raise ConfigurationError(f"{source.name}: {error.message}") from error
            except ValueError as error:
                raise ConfigurationError(f"{source.name}: {error}") from error
            submissions.append(Submission(source.name, job_id))


def _print_ids(submissions: Iterable[Submission], *, as_json: bool) -> None:
    for submission in submissions:
        if as_json:
            print_json({"source": submission.source, "id": submission.job_id})
        else:
            print_text(submission.job_id)


def _say_if_nobody_reads(client: "Client", priority: str) -> None:
    if not client.has_been_read(priority):
        print_note(
            f"no worker has ever read this queue, {client.keys.stream(priority)}; a typo in "
            "--queue or --priority? Waiting for a worker all the same"
        )


def _follow(
    client: "Client", submissions: Sequence[Submission], timeout_seconds: float | None
) -> "tuple[dict[str, Result], Collection[str]]":
    """Return the results that came in time, by job id, and for which jobs none can come."""
    results: dict[str, Result] = {}
    gone: Collection[str] = ()
    try:
        with progress() as bars:
            bar = bars.add_task("waiting for words", total=len(submissions))
            ids = [submission.job_id for submission in submissions]
            for job_id, result in client.wait(ids, timeout_seconds):
                results[job_id] = result
                bars.advance(bar)
    except TimeoutError:
        pass
    except ResultGoneError as error:
        gone = error.job_ids
    return results, gone

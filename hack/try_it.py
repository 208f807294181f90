"""A recording of one's own through the whole of it: ``make try FILE=my.ogg``.

Starts a Redis-compatible server on a free port of the loopback interface and a worker on real
weights, sends each file as a job, prints the words with their times, and stops everything.
"""

import shlex
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated

import redis
import typer
from rich.console import Console

from hack.real.errors import GroundError
from hack.real.models import BASE, MODELS, model_folder
from whisperfleet.cli.interrupts import interrupted_by_any_end
from whisperfleet.cli.messages import print_error, print_note
from whisperfleet.cli.output import print_text
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.result import Result, Segment
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.demo.worker import DemoWorker, run_worker
from whisperfleet.errors import WhisperfleetError

__all__ = ["main"]

_QUEUE_ID = "try.whisperfleet"
_LOOK_SECONDS = 0.5
# What the queue says of a job is told by its code; a sentence on standard error says the rest.
_NO_WORDS = 1
_NOT_TRIED = 2


def main(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE...", help="Recordings on this machine.")
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help=f"{', '.join(MODELS)} (fetched once), a folder with a converted model, or `demo`."
        ),
    ] = BASE,
    language: Annotated[
        str | None, typer.Option(help="Spoken language as a code (en). Absent: detected.")
    ] = None,
) -> None:
    """Print the words of recordings with their times."""
    wanted = files or []
    _check(wanted)
    try:
        folder = str(model_folder(model)) if model in MODELS else model
        with interrupted_by_any_end():
            results = _recognise(wanted, folder, language)
    except (GroundError, WhisperfleetError, redis.RedisError) as error:
        print_error(str(error))
        raise typer.Exit(_NOT_TRIED) from error
    for file, result in zip(wanted, results, strict=True):
        _print(file, result)
    print_note(f"The next file: make try FILE={shlex.quote('my.ogg')}")
    if any(result.transcript is None for result in results):
        raise typer.Exit(_NO_WORDS)


def _check(files: Sequence[Path]) -> None:
    if not files:
        print_error("no file is named; say which recording to try: make try FILE=my.ogg")
        raise typer.Exit(_NOT_TRIED)
    for file in files:
        if not file.is_file():
            print_error(f"{file} is no file; check the path")
            raise typer.Exit(_NOT_TRIED)


def _recognise(files: Sequence[Path], model: str, language: str | None) -> list[Result]:
    """Return the result of each file, in order."""
    console = Console(stderr=True)
    with (
        console.status("starting a server and a worker") as status,
        EmbeddedServer() as server,
        run_worker(server.url, _QUEUE_ID, model, [file.parent for file in files]) as worker,
        Client(server.settings, _QUEUE_ID) as client,
    ):
        worker.wait_until_ready()
        jobs = [Job(url=file.resolve().as_uri(), language=language) for file in files]
        ids = client.submit_many(jobs)
        results: dict[str, Result] = {}
        while len(results) < len(ids):
            status.update(f"recognising, {len(results)} of {len(ids)} done")
            results |= _next_results(client, worker, set(ids) - set(results))
        worker.stop()
    return [results[job_id] for job_id in ids]


def _next_results(client: Client, worker: DemoWorker, waiting: set[str]) -> dict[str, Result]:
    worker.check_alive()
    try:
        return dict(islice(client.wait(waiting, _LOOK_SECONDS), 1))
    except TimeoutError:
        return {}


def _print(file: Path, result: Result) -> None:
    if result.transcript is None:
        reason = f"{result.error.code}: {result.error.message}" if result.error else "no words"
        print_error(f"{file}: {result.state} ({reason})")
        return
    transcript, timing = result.transcript, result.timing
    print_note(
        f"{file}: {transcript.duration:.1f} s, language {transcript.language}, "
        f"recognised in {timing.total:.1f} s"
    )
    for segment in transcript.segments:
        print_text(_line(segment))
    for warning in result.warnings:
        print_note(f"{file}: warning ({warning.code}): {warning.message}")


def _line(segment: Segment) -> str:
    return f"{_clock(segment.start)} - {_clock(segment.end)}  {segment.text}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds * 100), 6000)
    return f"{minutes:02}:{rest // 100:02}.{rest % 100:02}"


if __name__ == "__main__":
    typer.run(main)

"""`whisperfleet demo`."""

from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table
from rich.text import Text

from whisperfleet.cli.extras import require_extra
from whisperfleet.cli.interrupts import interrupted_by_any_end
from whisperfleet.cli.messages import print_error
from whisperfleet.cli.options import JsonOption
from whisperfleet.cli.output import print_json, print_text
from whisperfleet.cli.rendering import print_table, progress
from whisperfleet.exit_codes import ExitCode

if TYPE_CHECKING:
    from whisperfleet.demo.run import DemoRun, Heard

__all__ = ["demo"]


def demo(as_json: JsonOption = False) -> None:
    """Put real speech through a real queue and a real model, on this machine alone.

    Starts a Redis-compatible server on a free port of the loopback interface and a worker on the
    bundled model, sends the bundled clips, prints what was said beside what was heard, and stops
    everything. Exit code 1 when a word is wrong. Needs no network.
    """
    require_extra("demo")
    from whisperfleet.demo.clips import demo_clips  # noqa: PLC0415
    from whisperfleet.demo.run import run_demo  # noqa: PLC0415

    clips = demo_clips()
    with interrupted_by_any_end() as check, progress() as bars:
        bar = bars.add_task("", total=len(clips))

        def begin(step: str) -> None:
            check()
            bars.update(bar, description=step)

        run = run_demo(clips, begin, hear=lambda _: bars.advance(bar))
    if as_json:
        print_json(_document(run))
    else:
        _print_run(run)
    for heard in run.heard:
        if error := heard.result.error:
            print_error(f"{heard.clip.name}: {heard.result.state} ({error.code}): {error.message}")
    if run.wrong_words:
        print_error(f"{run.wrong_words} words are wrong; please report it with this table")
        raise typer.Exit(ExitCode.NOT_DONE)


def _document(run: "DemoRun") -> dict[str, Any]:
    return {
        "clips": [_clip_document(heard) for heard in run.heard],
        "wrong_words": run.wrong_words,
        "ready_seconds": run.ready_seconds,
        "seconds": round(run.seconds, 3),
        "commands": run.commands,
    }


def _clip_document(heard: "Heard") -> dict[str, Any]:
    return {
        "clip": heard.clip.name,
        "job_id": heard.result.id,
        "state": heard.result.state,
        "said": " ".join(heard.clip.words),
        "heard": " ".join(heard.words),
        "wrong_words": heard.wrong_words,
        "audio_seconds": heard.clip.seconds,
        "real_time_factor": round(heard.real_time_factor, 4),
        "timing": heard.result.timing.model_dump(),
    }


def _print_run(run: "DemoRun") -> None:
    table = Table(title="What was said and what was heard; times in seconds")
    for name in ("clip", "said", "heard"):
        table.add_column(name, overflow="fold")
    for name in ("audio", "queued", "engine", "total", "engine/audio"):
        table.add_column(name, justify="right", no_wrap=True)
    for heard in run.heard:
        timing = heard.result.timing
        table.add_row(
            heard.clip.name,
            " ".join(heard.clip.words),
            Text(" ".join(heard.words), style="red" if heard.wrong_words else "green"),
            f"{heard.clip.seconds:.1f}",
            *(f"{seconds:.2f}" for seconds in (timing.queued, timing.engine, timing.total)),
            f"{heard.real_time_factor:.3f}",
        )
    print_table(table)
    words = sum(len(heard.clip.words) for heard in run.heard)
    print_text(
        f"{words - run.wrong_words} of {words} words are right. The worker was ready after "
        f"{run.ready_seconds:.2f} s; all of it took {run.seconds:.1f} s.\n"
        "The clips were sent by plain XADD. By hand, with a worker and a server running, that is:"
    )
    for command in run.commands[:2]:
        print_text(f"  {command}")

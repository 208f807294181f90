"""The command line `whisperfleet`.

`app` names the commands and turns expected errors into a sentence and an exit code. Each command
has a module, and imports what only it needs when it runs: a producer's machine needs no model.
"""

import sys
from typing import TYPE_CHECKING

from whisperfleet.cli.first_process import end_on_sigterm
from whisperfleet.cli.interrupts import interrupted_at_once
from whisperfleet.cli.streams import occupy_closed_streams

if TYPE_CHECKING:
    from collections.abc import Callable

    from whisperfleet.worker.settings import WorkerSettings

__all__ = ["main"]


def main(work: "Callable[[WorkerSettings], int] | None" = None) -> None:
    """Run the command that `sys.argv` names; end the process with its exit code.

    `work` is what `whisperfleet worker` runs with its settings; None is the worker as it is. With
    it a program can be that worker with an engine of its own.
    """
    end_on_sigterm()
    occupy_closed_streams()
    with interrupted_at_once():
        if "worker" in sys.argv[1:]:
            # What it loads is for a worker alone.
            from whisperfleet.cli.allocator import start_without_thread_cache  # noqa: PLC0415

            start_without_thread_cache()
        # Takes a second, in which a signal may come.
        from whisperfleet.cli.app import app  # noqa: PLC0415

    app(prog_name="whisperfleet", obj=work)

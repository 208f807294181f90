"""The command line `whisperfleet`.

`app` names the commands and turns expected errors into a sentence and an exit code. Each command
has a module, and imports what only it needs when it runs: a producer's machine needs no model.
"""

import sys

from whisperfleet.cli.first_process import end_on_sigterm
from whisperfleet.cli.interrupts import interrupted_at_once
from whisperfleet.cli.streams import occupy_closed_streams

__all__ = ["main"]


def main() -> None:
    """Run the command that `sys.argv` names; end the process with its exit code."""
    end_on_sigterm()
    occupy_closed_streams()
    with interrupted_at_once():
        if "worker" in sys.argv[1:]:
            # What it loads is for a worker alone.
            from whisperfleet.cli.allocator import start_without_thread_cache  # noqa: PLC0415

            start_without_thread_cache()
        # Takes a second, in which a signal may come.
        from whisperfleet.cli.app import app  # noqa: PLC0415

    app(prog_name="whisperfleet")

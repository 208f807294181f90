"""The command line `whisperfleet`.

`app` names the commands and turns expected errors into a sentence and an exit code. Each command
has a module, and imports what only it needs when it runs: a producer's machine needs no model.
"""

import sys

from whisperfleet.cli.first_process import end_on_sigterm

__all__ = ["main"]


def main() -> None:
    """Run the command that `sys.argv` names; end the process with its exit code."""
    end_on_sigterm()
    if "worker" in sys.argv[1:]:
        # What it loads is for a worker alone.
        from whisperfleet.cli.allocator import start_without_thread_cache  # noqa: PLC0415

        start_without_thread_cache()
    from whisperfleet.cli.app import app  # noqa: PLC0415 - takes a second, in which SIGTERM may come

    app(prog_name="whisperfleet")

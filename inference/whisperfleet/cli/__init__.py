"""The command line `whisperfleet`.

`app` names the commands and turns expected errors into a sentence and an exit code. Each command
has a module, and imports what only it needs when it runs: a producer's machine needs no model.
"""

from whisperfleet.cli.app import app

__all__ = ["main"]


def main() -> None:
    """Run the command that `sys.argv` names; end the process with its exit code."""
    app(prog_name="whisperfleet")

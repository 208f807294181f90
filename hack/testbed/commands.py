"""Commands of the machine that do or ask something at once."""

import subprocess
from collections.abc import Sequence

from hack.testbed.errors import TestbedError

__all__ = ["run_command"]


def run_command(command: Sequence[str], remedy: str) -> str:
    """Run a command and return what it prints.

    Raises TestbedError with what it said where it fails or is not there, and `remedy` behind it.
    """
    shown = " ".join(command)
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    except FileNotFoundError:
        raise TestbedError(
            f"`{shown}` failed: there is no {command[0]} on the PATH; `make cluster-up` installs "
            "Debian's package of it"
        ) from None
    if done.returncode != 0:
        said = done.stderr.strip() or done.stdout.strip()
        raise TestbedError(f"`{shown}` failed: {said or f'exit code {done.returncode}'}; {remedy}")
    return done.stdout

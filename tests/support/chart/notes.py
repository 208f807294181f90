"""What Helm says after an installation, as the commands that a person pastes from it."""

import os
import subprocess
from pathlib import Path
from typing import Final

# A stand-in that writes down what it is asked, and what it is given to read.
_KUBECTL: Final = """#!/bin/sh
echo "kubectl $*" >> "$CALLS"
case "$*" in *"-f -"*) cat > "$GIVEN" ;; esac
"""
_SECONDS: Final = 10


def commands_of(notes: str) -> str:
    """Return the lines of the notes from each command on to the end of its paragraph."""
    paragraphs = notes.split("\n\n")
    return "\n".join(each for each in paragraphs if each.lstrip("\n").startswith("kubectl ")) + "\n"


def pasted(commands: str, folder: Path) -> tuple[list[str], str]:
    """Run commands with a kubectl that does nothing; return its calls, and what it was given."""
    program, calls, given = folder / "kubectl", folder / "calls", folder / "given"
    program.write_text(_KUBECTL)
    program.chmod(0o755)
    subprocess.run(
        ["sh", "-eu"],
        input=commands,
        env={"PATH": f"{folder}:{os.environ['PATH']}", "CALLS": str(calls), "GIVEN": str(given)},
        text=True,
        check=True,
        timeout=_SECONDS,
    )
    return calls.read_text().splitlines(), given.read_text()

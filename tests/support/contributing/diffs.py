"""The diffs that CONTRIBUTING.md shows, and copies of the sources to apply them to."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
SOURCES = ("inference", "operator")


def shown_diff(title: str) -> str:
    """Return the one diff in the section of this title."""
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    section = page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    (diff,) = re.findall(r"(?ms)^```diff\n(.*?)^```$", section)
    return str(diff)


def files_of(diff: str) -> list[str]:
    """Return the files that a diff changes or makes."""
    return re.findall(r"(?m)^\+\+\+ b/(.+)$", diff)


def copy_with(diff: str, folder: Path) -> Path:
    """Return a copy of the sources in `folder` with the diff applied."""
    for source in SOURCES:
        shutil.copytree(
            ROOT / source, folder / source, ignore=shutil.ignore_patterns("__pycache__", "data")
        )
    # Not in a repository that the folder may lie in.
    environment = os.environ | {"GIT_CEILING_DIRECTORIES": str(folder.parent)}
    subprocess.run(
        ["git", "apply", "-"], cwd=folder, env=environment, input=diff, text=True, check=True
    )
    return folder


def run_in(folder: Path, program: str) -> Any:
    """Return the JSON that a program prints which imports the copy in `folder`."""
    path = os.pathsep.join(str(folder / source) for source in SOURCES)
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path, "COLUMNS": "300"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)

"""The examples, and how to run a test for each."""

from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from support.operator.samples import read
from whisperfleet_operator.resource import TranscriptionService

EXAMPLES: Final = Path(__file__).parents[3] / "examples"
# The nodes of EKS are eksctl's to read.
FILES: Final = sorted(file for file in EXAMPLES.glob("*/*.yaml") if file.name != "nodes.yaml")


def named(files: list[Path]) -> Any:
    """Run a test for each file, under the file's name."""
    names = [str(file.relative_to(EXAMPLES)) for file in files]
    return pytest.mark.parametrize("file", files, ids=names)


def service(file: Path, namespace: str = "team-a") -> TranscriptionService:
    return read(yaml.safe_load(file.read_text("utf-8")), namespace)

"""The CI workflow, the pages and .ci/run call only targets that there are."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.docs.pages import ROOT

MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
TARGETS = set(re.findall(r"(?m)^([a-z][a-z0-9-]*):", MAKEFILE))
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text("utf-8"))


def steps() -> list[dict[str, Any]]:
    return [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]


def called(text: str) -> set[str]:
    """Return the targets that commands at the beginning of a line, or of a step, make."""
    return set(re.findall(r"(?m)^(?:step )?make ([a-z][a-z0-9-]*)", text))


def test_the_workflow_makes_what_the_full_run_makes():
    commands = "\n".join(step.get("run", "") for step in steps())
    full = called((ROOT / ".ci/run").read_text("utf-8"))
    # What every other target does first.
    assert called(commands) == full - {"setup"}


@pytest.mark.parametrize(
    "path", [".ci/run", "README.md", "CONTRIBUTING.md", ".github/workflows/ci.yml"]
)
def test_what_is_made_is_a_target(path: str):
    made = called((ROOT / path).read_text("utf-8").replace("- run: ", "").replace("    ", ""))
    assert made
    assert made <= TARGETS


def test_every_target_is_phony_and_explained():
    (phony,) = re.findall(r"(?m)^\.PHONY: (.*)$", MAKEFILE)
    assert set(phony.split()) == TARGETS
    for target in TARGETS:
        assert re.search(rf"(?m)^{target}:.*## \w", MAKEFILE), target


def test_what_is_required_there_is_what_tests_understand():
    required = {
        name
        for job in WORKFLOW["jobs"].values()
        for name in job.get("env", {})
        if name.startswith("REQUIRE_")
    }
    # tests/support/servers.py composes it of the server's name.
    known = {"REQUIRE_REDIS"}
    for file in (ROOT / "tests").rglob("*.py"):
        known |= set(re.findall(r'environ\.get\("(REQUIRE_\w+)"\)', file.read_text("utf-8")))
    assert required <= known


def test_a_file_that_says_the_version_of_a_language_is_there():
    files = [
        path for step in steps() for name, path in step.get("with", {}).items() if "-file" in name
    ]
    assert files
    for path in files:
        assert (ROOT / path).is_file()


def test_nothing_in_the_workflow_may_write_to_the_repository():
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert not [job for job in WORKFLOW["jobs"].values() if "permissions" in job]


def test_every_action_has_a_version():
    actions = [step["uses"] for step in steps() if "uses" in step]
    assert actions
    for action in actions:
        assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", action), Path(action)

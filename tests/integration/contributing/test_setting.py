"""What CONTRIBUTING.md shows of a new setting is all that it takes."""

from typing import Any

import pytest

from support.contributing.diffs import copy_with, files_of, run_in, shown_diff
from support.operator.samples import changed, minimal

DIFF = shown_diff("A setting")
VARIABLE = "WHISPERFLEET_PAUSE_SECONDS"
TEXT = "How long a worker rests after each job, in seconds."

PROGRAM = """
import json
from typer.testing import CliRunner
from whisperfleet.cli.app import app
from whisperfleet.settings import SETTINGS, LoadSettings, reference as settings_reference
from whisperfleet_operator.plan.environment import environment
from whisperfleet_operator.resource import TranscriptionService, reference
from whisperfleet_operator.resource.crd import crd
from whisperfleet_operator.resource.settings import RESERVED_ENV

(version,) = crd()["spec"]["versions"]
spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]

def pod(resource):
    service = TranscriptionService.from_object(resource)
    return environment(service, service.spec.pools[0])

print(json.dumps({
    "default": LoadSettings().pause_seconds,
    "help": CliRunner().invoke(app, ["worker", "--help"]).output,
    "field": spec["worker"]["properties"]["pauseSeconds"],
    "reserved": RESERVED_ENV,
    "settings": settings_reference.render(SETTINGS),
    "reference": reference.render(crd()),
    "without": pod(WITHOUT),
    "with": pod(WITH),
}))
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What there is once the diff is applied."""
    resource = minimal()
    resource["metadata"] |= {"namespace": "team-a", "uid": "1"}
    resting = changed(resource, "spec.worker.pauseSeconds", 7)
    program = f"WITHOUT, WITH = {resource!r}, {resting!r}\n{PROGRAM}"
    folder = copy_with(DIFF, tmp_path_factory.mktemp("copy"))
    found: dict[str, Any] = run_in(folder, program)
    return found


def test_it_takes_one_file() -> None:
    assert files_of(DIFF) == ["inference/whisperfleet/settings/worker.py"]


def test_the_command_line_has_the_option(seen: dict[str, Any]) -> None:
    assert seen["default"] == 0
    for part in ("--pause-seconds", VARIABLE, TEXT, "0: not at all."):
        assert part in seen["help"]


def test_the_resource_has_the_field(seen: dict[str, Any]) -> None:
    assert seen["field"] == {
        "description": f"{TEXT} Absent: not at all.",
        "type": "integer",
        "minimum": 1,
        "maximum": 60,
    }


def test_both_references_have_a_line(seen: dict[str, Any]) -> None:
    assert f"| `{VARIABLE}` | `worker.pauseSeconds` | `0` | {TEXT}" in seen["settings"]
    assert (
        f"| `pauseSeconds` | integer, 1 to 60 | {TEXT} Absent: not at all. |" in seen["reference"]
    )


def test_the_name_is_reserved(seen: dict[str, Any]) -> None:
    assert VARIABLE in seen["reserved"]


def test_a_service_that_sets_it_has_the_variable_and_no_other_pod_changes(
    seen: dict[str, Any],
) -> None:
    added = [variable for variable in seen["with"] if variable not in seen["without"]]
    assert added == [{"name": VARIABLE, "value": "7"}]
    assert [variable for variable in seen["with"] if variable not in added] == seen["without"]

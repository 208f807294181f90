"""An upgrade of the operator leaves the pod templates of a release as they are, byte for byte.

A template that differs sends every GPU of every fleet through a rollout, all at once, because
somebody upgraded the operator. So what a new version adds to a template must be absent from the
services that do not ask for it. The services are those that the release's API server stored: with
the defaults of its CRD written into them.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from support.operator.samples import planned, read

# The files are what that version read and wrote, and are never written anew. A version that needs
# a rollout gets folders of its own, and says so in the changelog.
RELEASED = Path(__file__).parent / "released" / "0.1.0"
STORED = Path(__file__).parent / "stored" / "0.1.0"

CREDENTIALS = {"minimal": None, "full": "v1", "cpu": None, "hub": None}


@pytest.mark.parametrize("name", CREDENTIALS)
def test_the_template_is_the_same_as_ever(name: str) -> None:
    service = read(json.loads((STORED / f"{name}.json").read_text("utf-8")))
    plan = planned(service, CREDENTIALS[name])
    (deployment,) = (each for each in plan.apply if each["kind"] == "Deployment")
    made = _render(deployment["spec"]["template"])
    assert made == (RELEASED / f"{name}.json").read_text("utf-8"), (
        f"this change rolls every worker of every fleet that {RELEASED.name} made, when the "
        "operator is upgraded: each loads its model anew, and a job that outlasts its drain begins "
        "anew. Make it something that a service has to ask for; do not touch the file"
    )


def test_there_is_no_snapshot_of_nothing() -> None:
    for folder in (RELEASED, STORED):
        assert {file.stem for file in folder.iterdir()} == set(CREDENTIALS)


def _render(template: dict[str, Any]) -> str:
    # In the order in which it is applied: that of lists counts, and that of fields shows drift.
    return json.dumps(template, indent=1) + "\n"

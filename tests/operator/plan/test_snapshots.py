"""An upgrade of the operator leaves the pod templates of a release as they are, byte for byte.

A template that differs sends every GPU of every fleet through a rollout, all at once, because
somebody upgraded the operator. So what a new version adds to a template must be absent from the
services that do not ask for it.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from services import changed, full, minimal, read
from whisperfleet_operator.plan import Observed, make_plan

# The files are what that version wrote, and are never written anew. A version that needs a
# rollout gets a folder of its own, and says so in the changelog.
RELEASED = Path(__file__).parent / "released" / "0.1.0"

HUB = changed(changed(minimal(), "spec.model.source", {"hub": {}}), "spec.model.name", "small")
SERVICES = {
    "minimal": (minimal(), None),
    "full": (full(), "v1"),
    "cpu": (changed(minimal(), "spec.pools.0.gpu", None), None),
    "hub": (changed(HUB, "spec.pools.0.gpu.preset", "eks-a10g"), None),
}


@pytest.mark.parametrize("name", SERVICES)
def test_the_template_is_the_same_as_ever(name: str) -> None:
    resource, credentials = SERVICES[name]
    plan = make_plan(read(resource), Observed(credentials=credentials))
    (deployment,) = (each for each in plan.apply if each["kind"] == "Deployment")
    made = _render(deployment["spec"]["template"])
    assert made == (RELEASED / f"{name}.json").read_text("utf-8"), (
        f"this change rolls every worker of every fleet that {RELEASED.name} made, when the "
        "operator is upgraded: each loads its model anew, and a job that outlasts its drain begins "
        "anew. Make it something that a service has to ask for; do not touch the file"
    )


def test_there_is_no_snapshot_of_nothing() -> None:
    assert {file.stem for file in RELEASED.iterdir()} == set(SERVICES)


def _render(template: dict[str, Any]) -> str:
    # In the order in which it is applied: that of lists counts, and that of fields shows drift.
    return json.dumps(template, indent=1) + "\n"

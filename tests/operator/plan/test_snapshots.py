"""An upgrade of the operator leaves every pod template as it is, byte for byte.

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

SNAPSHOTS = Path(__file__).parent / "snapshots"

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
    written = _render(deployment["spec"]["template"])
    file = SNAPSHOTS / f"{name}.json"
    if not file.exists():
        file.write_text(written, encoding="utf-8")
        pytest.fail(f"{file.name} was missing and has been written: look at it and commit it")
    assert written == file.read_text("utf-8"), (
        "this change would roll every worker of every fleet when the operator is upgraded; if "
        "there is no way around that, delete the snapshot, and say so in the changelog"
    )


def test_there_is_no_snapshot_of_nothing() -> None:
    assert {file.stem for file in SNAPSHOTS.iterdir()} == set(SERVICES)


def _render(template: dict[str, Any]) -> str:
    # In the order in which it is applied: that of lists counts, and that of fields shows drift.
    return json.dumps(template, indent=1) + "\n"

"""What CONTRIBUTING shows of a second pool is all that it takes."""

from typing import Any

import pytest

from support.contributing.diffs import copy_with, files_of, run_in, shown_diff
from support.operator.samples import minimal

DIFF = shown_diff("A second pool")
LIGHT = "example/worker:0.1.0-base"

PROGRAM = """
import json
from whisperfleet_operator.plan import Observed, make_plan
from whisperfleet_operator.resource import TranscriptionService
from whisperfleet_operator.resource.crd import crd

(version,) = crd()["spec"]["versions"]
spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
service = TranscriptionService.from_object(RESOURCE)
plan = make_plan(service, Observed())
made = {
    (each["kind"], each["metadata"]["name"]): each for each in (*plan.apply, *plan.autoscale)
}
print(json.dumps({
    "most": spec["pools"]["maxItems"],
    "model": sorted(spec["pools"]["items"]["properties"]["model"]["properties"]),
    "of_service": sorted(spec["model"]["properties"]),
    "children": sorted(made),
    "images": {
        name: each["spec"]["template"]["spec"]["containers"][0]["image"]
        for (kind, name), each in made.items() if kind == "Deployment"
    },
    "formulas": {
        name: each["spec"]["advanced"]["scalingModifiers"]["formula"]
        for (kind, name), each in made.items() if kind == "ScaledObject"
    },
    "backlog": service.spec.backlog_per_replica,
}))
"""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What there is once the diff is applied."""
    resource = minimal()
    resource["metadata"] |= {"namespace": "team-a", "uid": "1"}
    (first,) = resource["spec"]["pools"]
    second = {"name": "light", "replicas": {"max": 2}, "model": {"image": LIGHT}}
    resource["spec"]["pools"] = [first | {"name": "main", "replicas": {"max": 3}}, second]
    folder = copy_with(DIFF, tmp_path_factory.mktemp("copy"))
    found: dict[str, Any] = run_in(folder, f"RESOURCE = {resource!r}\n{PROGRAM}")
    return found


def test_it_takes_two_files() -> None:
    folder = "operator/whisperfleet_operator/resource"
    assert files_of(DIFF) == [f"{folder}/pools.py", f"{folder}/spec.py"]


def test_the_resource_takes_two_pools_and_a_model_for_each(seen: dict[str, Any]) -> None:
    assert seen["most"] == 2
    assert seen["model"] == seen["of_service"]


def test_each_pool_has_every_child(seen: dict[str, Any]) -> None:
    kinds = {name: {kind for kind, of in seen["children"] if of == name} for name in seen["images"]}
    assert kinds.keys() == {"calls-main", "calls-light"}
    assert kinds["calls-main"] == kinds["calls-light"]


def test_each_pool_runs_its_own_model(seen: dict[str, Any]) -> None:
    assert seen["images"] == {
        "calls-main": minimal()["spec"]["model"]["image"],
        "calls-light": LIGHT,
    }


def test_no_job_is_counted_by_both(seen: dict[str, Any]) -> None:
    total = seen["formulas"]["calls-main"]
    above = 3 * seen["backlog"]
    assert seen["formulas"]["calls-light"] == f"max({total} - {above}, 0.0)"

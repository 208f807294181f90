"""What can be known without Helm: the files agree with each other and with the tree."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from hack.images.recipes import ROOT, project_table
from hack.manifests import FOLDER, NAMESPACE
from support.chart.helm import CHART, load_all
from whisperfleet_operator.resource.crd import FILE_NAME

VALUES = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
SCHEMA = json.loads((CHART / "values.schema.json").read_text("utf-8"))
# Of another chart that has this one as a part.
GLOBAL = "global"


def test_the_chart_has_the_definition_of_the_tree() -> None:
    copy = CHART / "files" / FILE_NAME
    assert copy.read_bytes() == (ROOT / "crds" / FILE_NAME).read_bytes(), "run `make schema`"


def test_the_chart_has_the_version_of_the_project() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    version = project_table()["version"]
    assert (chart["version"], chart["appVersion"]) == (version, version)


def test_the_schema_knows_the_values_and_no_others() -> None:
    assert set(_paths(VALUES, SCHEMA)) | {GLOBAL} == set(_known(SCHEMA))


def test_the_schema_refuses_what_it_does_not_know() -> None:
    assert [path for path, part in _parts(SCHEMA) if part.get("additionalProperties") is None] == []


@pytest.mark.parametrize("name", ["rbac", "deployment", "networkpolicy"])
def test_what_is_applied_by_hand_is_in_one_namespace(name: str) -> None:
    manifests = load_all((FOLDER / f"{name}.yaml").read_text("utf-8"))
    assert manifests
    namespaces = {each["metadata"].get("namespace", "") for each in manifests}
    assert namespaces <= {"", NAMESPACE, "kube-system"}


def _paths(values: dict[str, Any], schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """The paths of values, as far down as the schema has names of its own."""
    for name, value in values.items():
        yield f"{path}{name}"
        part = schema["properties"].get(name, {})
        if "properties" in part:
            yield from _paths(value, part, f"{path}{name}.")


def _known(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    for name, part in schema["properties"].items():
        yield f"{path}{name}"
        if "properties" in part:
            yield from _known(part, f"{path}{name}.")


def _parts(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object in the schema that lists its properties."""
    if "properties" in schema:
        yield path, schema
    for name, part in schema.items():
        if isinstance(part, dict):
            yield from _parts(part, f"{path}/{name}")

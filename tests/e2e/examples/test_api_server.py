"""The API server takes every example, and what the operator makes of it."""

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from support.cluster.fleet import own_namespace
from support.cluster.kube import Kube
from support.examples.files import FILES, named, service
from support.operator.definition import define_resource
from whisperfleet_operator.plan import Observed, make_plan

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def kube(kube: Kube) -> Kube:
    """The API server with our CRD."""
    define_resource(kube)
    return kube


@pytest.fixture(scope="module")
def empty_namespace(kube: Kube) -> Iterator[str]:
    with own_namespace(kube, f"test-{uuid4().hex[:8]}") as name:
        yield name


@named(FILES)
def test_an_example_is_let_in(kube: Kube, empty_namespace: str, file: Path):
    options = ("--dry-run=server", "--validate=strict", "-n", empty_namespace)
    assert "created (server dry run)" in kube.run("apply", "-f", str(file), *options)


@named(FILES)
def test_its_children_are_let_in(kube: Kube, empty_namespace: str, file: Path, tmp_path: Path):
    plan = make_plan(service(file, empty_namespace), Observed())
    children = tmp_path / "children.json"
    manifests = [*plan.create, *plan.apply, *plan.autoscale]
    children.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}))
    options = ("--server-side", "--dry-run=server", "--validate=strict", "-o", "name")
    said = kube.run("apply", "-f", str(children), *options)
    assert len(said.splitlines()) == len(manifests)

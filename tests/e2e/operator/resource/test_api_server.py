"""The API server refuses nonsense at apply, with a sentence, and explains every field."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from support.cluster.fleet import own_namespace
from support.cluster.kube import Kube
from support.operator.refusals import Refusal, refusals
from support.operator.samples import SAMPLES, changed, full, minimal
from whisperfleet_operator.resource import crd
from whisperfleet_operator.resource.names import GROUP, PLURAL, VERSION

pytestmark = pytest.mark.cluster

REFUSALS = list(refusals())

Json = dict[str, Any]
Apply = Callable[..., str]


@pytest.fixture
def namespace(kube: Kube) -> Iterator[str]:
    with own_namespace(kube, f"test-{uuid4().hex[:8]}") as name:
        yield name


@pytest.fixture(scope="module")
def empty_namespace(kube: Kube) -> Iterator[str]:
    """A namespace in which nothing is ever made."""
    with own_namespace(kube, f"test-{uuid4().hex[:8]}") as name:
        yield name


@pytest.fixture
def apply(kube: Kube, tmp_path: Path) -> Apply:
    """Call it with a service, a namespace and kubectl's options; it returns what kubectl says."""

    def run(resource: Json, namespace: str, *options: str) -> str:
        file = tmp_path / "service.yaml"
        file.write_text(yaml.safe_dump(resource), encoding="utf-8")
        return kube.show("apply", "-f", str(file), "-n", namespace, *options)

    return run


@pytest.fixture
def try_out(apply: Apply, empty_namespace: str) -> Apply:
    """Call it with a service; it returns what kubectl would say to it."""
    return lambda resource: apply(resource, empty_namespace, "--dry-run=server")


@pytest.mark.parametrize("resource", [minimal(), full()], ids=["minimal", "full"])
def test_what_is_right_is_let_in(try_out: Apply, resource: Json) -> None:
    assert try_out(resource).endswith("calls created (server dry run)\n")


@pytest.mark.parametrize(
    "refusal",
    [each for each in REFUSALS if each.before is None],
    ids=lambda refusal: refusal.name,
)
def test_nonsense_is_refused_with_a_sentence(try_out: Apply, refusal: Refusal) -> None:
    said = try_out(refusal.resource)
    assert refusal.sentence in said
    assert "created" not in said


@pytest.mark.parametrize(
    "refusal",
    [each for each in REFUSALS if each.before is not None],
    ids=lambda refusal: refusal.name,
)
def test_what_cannot_change_is_refused_with_a_sentence(
    apply: Apply, namespace: str, refusal: Refusal
) -> None:
    assert refusal.before
    assert "created" in apply(refusal.before, namespace)
    assert refusal.sentence in apply(refusal.resource, namespace)


def test_what_may_change_changes(apply: Apply, namespace: str) -> None:
    apply(minimal(), namespace)
    more = [{"name": name, "weight": 1} for name in ("high", "normal", "low", "never")]
    resource = changed(minimal(), "spec.queue.priorities", more)
    resource = changed(resource, "spec.pools.0.name", "other")
    resource = changed(resource, "spec.model.source", {"volumeClaim": {"claimName": "models"}})
    assert "configured" in apply(resource, namespace)


def test_the_defaults_are_written_into_the_object(apply: Apply, kube: Kube, namespace: str) -> None:
    apply(minimal(), namespace)
    stored = json.loads(kube.run("get", "tsvc", "calls", "-n", namespace, "-o", "json"))
    assert stored["spec"]["scaling"] == {
        "cooldownSeconds": 600,
        "pollingSeconds": 5,
        "startupSeconds": 420,
        "wakeAfterSeconds": 30,
    }


def test_the_columns_show_the_status(apply: Apply, kube: Kube, namespace: str) -> None:
    apply(minimal(), namespace)
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "Idle",
        "message": "There is no work.",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": 1,
    }
    status = {
        "conditions": [ready],
        "model": "large-v3-turbo",
        "replicas": "0/0",
        "queue": {"queued": 7, "deadLetters": 2, "oldestEnqueueTime": "2026-01-01T00:00:00Z"},
    }
    patch = json.dumps({"status": status})
    options = ("-n", namespace, "--subresource=status", "--type=merge", "-p", patch)
    kube.run("patch", "tsvc", "calls", *options)
    header, line = kube.run("get", "tsvc", "-n", namespace).splitlines()
    assert header.split() == "NAME READY REASON MODEL REPLICAS QUEUED DLQ OLDEST AGE".split()
    *shown, oldest, _age = line.split()
    assert shown == ["calls", "True", "Idle", "large-v3-turbo", "0/0", "7", "2"]
    assert oldest.endswith("d")
    wide = kube.run("get", "tsvc", "-n", namespace, "-o", "wide")
    assert wide.split()[-1] == minimal()["spec"]["model"]["image"]


def fields(schema: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Every field that `kubectl explain` can be asked about, with what the server knows of it."""
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}", field
        yield from fields(field, f"{path}.{name}")
        yield from fields(field.get("items", {}), f"{path}.{name}")


def test_every_field_is_explained(kube: Kube) -> None:
    document = json.loads(kube.run("get", "--raw", f"/openapi/v3/apis/{GROUP}/{VERSION}"))
    (schema,) = (
        each
        for name, each in document["components"]["schemas"].items()
        if name.endswith(".TranscriptionService")
    )
    ours = {path: field for path, field in fields(schema) if not path.startswith(".metadata")}
    assert [path for path, field in ours.items() if not field.get("description")] == []
    listed = kube.run("explain", PLURAL, "--recursive")
    listed = listed.partition("\n  spec\t")[2]
    wanted = [path.rpartition(".")[2] for path in ours if path.count(".") > 1]
    shown = [line.split("\t")[0].strip() for line in listed.splitlines() if "\t<" in line]
    assert sorted(shown) == sorted([*wanted, "status"])


def test_kubectl_explains_a_field_in_words(kube: Kube) -> None:
    said = " ".join(kube.run("explain", "tsvc.spec.pools.replicas.max").split())
    assert "The largest number of pods, however long the queue is." in said


def test_the_short_name_and_the_category_find_it(apply: Apply, kube: Kube, namespace: str) -> None:
    apply(minimal(), namespace)
    assert "transcriptionservice.whisperfleet.io/calls" in kube.run("get", "all", "-n", namespace)


def test_the_samples_are_let_in(kube: Kube, empty_namespace: str) -> None:
    for file in SAMPLES.glob("*.yaml"):
        options = ("--dry-run=server", "-n", empty_namespace)
        assert "created" in kube.run("apply", "-f", str(file), *options)


def test_there_is_no_scale_subresource(apply: Apply, kube: Kube, namespace: str) -> None:
    apply(minimal(), namespace)
    said = kube.show("scale", "tsvc/calls", "-n", namespace, "--replicas=3")
    assert "scaled" not in said
    assert crd.crd()["metadata"]["name"] == f"{PLURAL}.{GROUP}"

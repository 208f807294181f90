"""What the operator reads of a service."""

from typing import Any

import pytest
from pydantic import ValidationError

from support.operator import samples
from support.operator.samples import changed, full, minimal, read
from whisperfleet.engine.ctranslate2.capacity import MAX_BATCH


def test_the_ten_lines_are_a_whole_service() -> None:
    service = read(minimal())
    assert service.name == "calls"
    assert service.keys.queue_id == "team-a.calls"
    assert service.spec.worker.max_in_flight is None
    assert service.spec.pools[0].replicas.min == 0
    assert [each.name for each in service.spec.queue.priorities] == ["high", "normal", "low"]


def test_a_queue_may_have_an_id_of_its_own() -> None:
    service = read(changed(minimal(), "spec.queue.id", "team-b.all"))
    assert service.keys.stream("high") == "wf:{team-b.all}:in:high"


def test_the_target_is_what_was_asked_for() -> None:
    assert read(full()).spec.backlog_per_replica == 16


@pytest.mark.parametrize(("in_flight", "target"), [(None, 64), (1, 2), (32, 64), (256, 512)])
def test_no_target_is_below_what_a_worker_holds(in_flight: int | None, target: int) -> None:
    resource = minimal()
    if in_flight is not None:
        resource = changed(resource, "spec.worker.maxInFlight", in_flight)
    assert read(resource).spec.backlog_per_replica == target >= (in_flight or 2 * MAX_BATCH)


def test_unknown_fields_are_ignored() -> None:
    resource = changed(minimal(), "spec.pools.0.capacityType", "spot")
    assert read(resource) == read(minimal())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.model.image", None),
        ("spec.pools", []),
        ("spec.pools.0.replicas.max", None),
        ("spec.pools.0.gpu.preset", "gke-tpu"),
        ("spec.worker.maxInFlight", 0),
        ("spec.queue.priorities", []),
        # The schema takes these two for addresses.
        ("spec.queue.redis.url", "redis://[::::]:6379"),
        ("spec.input.allowedNetworks", ["10.0.0.0/33"]),
    ],
)
def test_what_no_schema_lets_in_is_refused(path: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        read(changed(minimal(), path, value))


def test_a_folder_of_the_node_that_an_older_schema_let_in_is_refused() -> None:
    volumes = [{"name": "host", "hostPath": {"path": "/"}}]
    with pytest.raises(ValidationError, match="a volume is a hostPath"):
        read(changed(minimal(), "spec.pools.0.template.volumes", volumes))


def test_a_service_cannot_be_changed_in_memory() -> None:
    service = read(minimal())
    with pytest.raises(ValidationError):
        service.spec.suspend = True  # type: ignore[misc]


@pytest.mark.parametrize(
    ("annotations", "disabled"),
    [
        ({}, False),
        ({"whisperfleet.io/reconcile": "disabled"}, True),
        ({"whisperfleet.io/reconcile": "enabled"}, False),
    ],
)
def test_an_annotation_disables_the_reconcile(annotations: dict[str, str], disabled: bool) -> None:
    service = read(changed(minimal(), "metadata.annotations", annotations))
    assert service.is_reconcile_disabled is disabled


def test_children_are_deleted_with_their_service() -> None:
    assert read(minimal()).owner_reference == {
        "apiVersion": "whisperfleet.io/v1alpha1",
        "kind": "TranscriptionService",
        "name": "calls",
        "uid": samples.UID,
        "controller": True,
    }

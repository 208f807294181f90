"""What is left when a service goes, or the operator goes first; and what rights it used."""

import subprocess
import sys
from typing import Any

import pytest
import redis
import yaml

from audio_files import clips
from cluster.kube import until
from operating.audit import AuditLog
from operating.process import MANIFESTS, Operator
from operating.services import CHILDREN
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.states import State

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300, func_only=True)]

# A denied call is one that somebody wrote and nobody allowed.
_FORBIDDEN = 403


def test_a_deleted_service_leaves_its_queue_until_that_is_dropped(
    apply_service, operator: Operator, raw: redis.Redis, redis_url: str, queue: Client
):
    service = apply_service()
    service.wait_for("Ready", "Idle", "True")
    stream = queue.keys.stream("normal")
    assert raw.exists(stream)

    service.delete()
    until(lambda: not service.get(), "the service is gone", 10)
    until(lambda: not service.children(), "its children are gone", 60)
    operator.stop()

    job_id = queue.submit(Job(audio=clips()[0][0]))
    assert raw.xlen(stream) == 1
    _run_queue_command("purge", redis_url, queue)
    result = queue.result(job_id)
    assert result is not None
    assert result.state is State.CANCELLED
    _run_queue_command("drop", redis_url, queue)
    assert list(raw.scan_iter(f"{queue.keys.prefix}*")) == []


def test_an_operator_that_goes_first_leaves_nothing_stuck(apply_service, operator: Operator):
    service = apply_service()
    service.wait_for("Ready", "Idle", "True")
    assert "finalizers" not in service.get()["metadata"]
    annotations = service.get()["metadata"].get("annotations", {})
    assert not [name for name in annotations if "kopf" in name]
    operator.stop()

    service.delete()
    until(lambda: not service.get(), "the service is gone", 10)
    until(lambda: not service.children(), "its children are gone", 60)


def test_a_service_of_the_same_name_right_after(apply_service, operator: Operator):
    service = apply_service()
    service.wait_for("Ready", "Idle", "True")
    uid = service.get()["metadata"]["uid"]
    service.kube.run("-n", service.namespace, "delete", "tsvc", service.name)
    again = apply_service()
    again.wait_for("Ready", "Idle", "True")
    assert again.get()["metadata"]["uid"] != uid
    assert len(again.children()) == len(CHILDREN)
    assert "NameTaken" not in again.events()
    assert operator.is_ready()


def test_every_right_is_used_and_none_is_missing(
    apply_service, audit: AuditLog, operator: Operator, redis_url: str
):
    """Compare what the audit log saw in an eventful life with what the role grants."""
    service = apply_service()
    service.wait_for("Ready", "Idle", "True")
    access = {"url": redis_url, "credentials": {"secretName": "redis-access"}}
    service.patch({"spec": {"queue": {"redis": access}}})
    service.wait_for("Ready", "SecretMissing", "False")
    service.kube.run(
        *("-n", service.namespace, "create", "secret", "generic", "redis-access"),
        "--from-literal=password=wrong",
    )
    service.wait_for("Ready", "QueueRefused", "False")
    service.patch({"spec": {"queue": {"redis": {"credentials": None}}}})
    service.wait_for("Ready", "Idle", "True")
    service.patch({"spec": {"pools": [{"name": "renamed", "replicas": {"max": 1}}]}})
    until(lambda: not service.children(), "the children of the old pool are gone")
    service.wait_for("Ready", "Idle", "True")
    operator.stop()

    seen = audit.by_operator()
    denied = [
        entry["requestURI"] for entry in seen if entry["responseStatus"]["code"] == _FORBIDDEN
    ]
    assert denied == []
    used = {_right(entry) for entry in seen if entry.get("objectRef", {}).get("resource")}
    # An apply of what is not there needs the right to create, and is logged as a patch.
    applied = {("create", *right[1:]) for right in used if right[0] == "patch"}
    status = ("create", "whisperfleet.io", "transcriptionservices/status")
    # Only what comes every five minutes, or where a watch is late, reads the service itself.
    resync = ("get", "whisperfleet.io", "transcriptionservices")
    assert used | (applied - {status}) | {resync} == _granted()


def _run_queue_command(name: str, redis_url: str, queue: Client) -> None:
    command = (sys.executable, "-m", "whisperfleet", "queue", name, "--yes")
    options = ("--redis", redis_url, "--queue", queue.keys.queue_id)
    subprocess.run([*command, *options], check=True, timeout=60)


def _right(entry: dict[str, Any]) -> tuple[str, str, str]:
    about = entry["objectRef"]
    subresource = f"/{about['subresource']}" if "subresource" in about else ""
    return entry["verb"], about.get("apiGroup", ""), about["resource"] + subresource


def _granted() -> set[tuple[str, str, str]]:
    documents = yaml.safe_load_all((MANIFESTS / "rbac.yaml").read_text())
    return {
        (verb, group, resource)
        for document in documents
        if document["kind"] in ("ClusterRole", "Role")
        for rule in document["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }

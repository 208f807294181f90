"""What is left when a service goes, or the operator goes first; and what rights it used."""

import subprocess
import sys
from pathlib import Path

import pytest
import redis

from support.audio.files import clips
from support.cluster.fleet import behind
from support.cluster.kube import Kube, until
from support.operator.audit import AuditLog
from support.operator.process import Operator
from support.operator.programs import GATED_PROGRAM, program, template
from support.operator.rights import denied, granted, live_an_eventful_life, used
from support.operator.services import AUTHENTICATION, CHILDREN, FAST, POOL, SERVICE, Service
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.states import State
from whisperfleet.queue import RedisSettings

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300, func_only=True)]


LABELLED = f"whisperfleet.io/service={SERVICE}"
GUARDED = {"secretName": "redis-access"}


@pytest.fixture
def foreign(kube: Kube, namespace: str, redis_url: str) -> set[str]:  # noqa: ARG001 - Redis too
    """What is in the namespace before there is a service, and what the service itself needs."""
    there = Service(kube, namespace).everything()
    return there | {"configmap/program", "secret/redis-access"}


@pytest.fixture
def busy(
    apply_service,
    kube: Kube,
    namespace: str,
    redis_url: str,
    queue: Client,
    operator: Operator,  # noqa: ARG001 - it has to be there
) -> Service:
    """A service with credentials, every child and a pod with a job that does not end."""
    with RedisSettings(redis_url).connect() as raw:
        raw.acl_setuser(
            "fleet", enabled=True, passwords=["+secret"], keys=["*"], commands=["+@all"]
        )
    kube.create(program(GATED_PROGRAM), namespace)
    kube.run(
        *("-n", namespace, "create", "secret", "generic", "redis-access"),
        *("--from-literal=username=fleet", "--from-literal=password=secret"),
    )
    service = apply_service(
        scaling=FAST,
        worker={"maxInFlight": 1, "drainSeconds": 5},
        queue={"redis": {"url": redis_url, "credentials": GUARDED}},
        pools=[{"name": POOL, "replicas": {"max": 1}, "template": template()}],
    )
    queue.submit(Job(id="endless", audio=clips()[0][0], metadata=behind("never")))
    until(lambda: _is_begun(queue), "the job is begun", 120)
    owned = {name.partition("/")[0].partition(".")[0] for name in service.everything(LABELLED)}
    assert owned >= {"replicaset", "pod"}
    assert service.children().keys() == {*CHILDREN, AUTHENTICATION}
    assert any(name.startswith("horizontalpodautoscaler") for name in service.everything())
    return service


def test_a_deleted_service_leaves_its_queue_until_that_is_dropped(
    foreign: set[str],
    busy: Service,
    operator: Operator,
    raw: redis.Redis,
    redis_url: str,
    queue: Client,
):
    busy.delete()
    until(lambda: not busy.get(), "the service is gone", 10)
    until(lambda: busy.everything() == foreign, lambda: _left(busy, foreign), 90)
    operator.stop()

    # Nothing but the queue, with the job that nobody does any more.
    left = {key.decode() for key in raw.scan_iter()}
    assert left == {key for key in left if key.startswith(queue.keys.prefix)}
    assert raw.xlen(queue.keys.stream("normal")) == 1
    _run_queue_command("purge", redis_url, queue)
    result = queue.result("endless")
    assert result is not None
    assert result.state is State.CANCELLED
    _run_queue_command("drop", redis_url, queue)
    assert list(raw.scan_iter()) == []


def test_an_operator_that_goes_first_leaves_nothing_stuck(
    foreign: set[str], busy: Service, operator: Operator
):
    assert "finalizers" not in busy.get()["metadata"]
    annotations = busy.get()["metadata"].get("annotations", {})
    assert not [name for name in annotations if "kopf" in name]
    operator.stop()

    busy.delete()
    until(lambda: not busy.get(), "the service is gone", 10)
    until(lambda: busy.everything() == foreign, lambda: _left(busy, foreign), 90)


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
    apply_service, audit: AuditLog, account: Path, operator: Operator, redis_url: str
):
    """Compare what the audit log saw in an eventful life with what the roles grant."""
    live_an_eventful_life(apply_service(), redis_url)
    operator.stop()
    seen = audit.of(account).by_operator()
    assert denied(seen) == []
    assert used(seen) == granted()


def _is_begun(queue: Client) -> bool:
    status = queue.status("endless")
    return status is not None and status.state is State.RUNNING


def _left(service: Service, foreign: set[str]) -> str:
    return f"nothing is left but {sorted(service.everything() ^ foreign)}"


def _run_queue_command(name: str, redis_url: str, queue: Client) -> None:
    command = (sys.executable, "-m", "whisperfleet", "queue", name, "--yes")
    options = ("--redis", redis_url, "--queue", queue.keys.queue_id)
    subprocess.run([*command, *options], check=True, timeout=60)

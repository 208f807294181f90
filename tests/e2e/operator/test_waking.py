"""From XADD to words and back to zero, with the operator and without it."""

import time

import pytest

from support.audio.files import clips
from support.cluster.kube import until
from support.operator.audit import AuditLog
from support.operator.process import Operator
from support.operator.services import FAST, SERVICE, Service
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.states import State
from whisperfleet.queue import RedisSettings

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400, func_only=True)]

_POD_SECONDS = 90


def test_work_wakes_the_fleet_and_it_sleeps_again(
    apply_service, operator: Operator, queue: Client, audit: AuditLog, report_figure
):
    # Redis is a pod too.
    audit = audit.from_now()
    service = apply_service(scaling=FAST, worker={"maxInFlight": 2, "drainSeconds": 10})
    service.wait_for("Ready", "Idle", "True")
    operator.wait_for_reconciles(2)
    assert not audit.created_pods()

    assert _words(queue, "first") == clips()[0][1]
    # What the status said on the way is in the Events.
    until(lambda: "FleetWoke" in service.events(), "an Event tells that the fleet woke")
    assert audit.created_pods()
    _wait_until_asleep(service)
    until(lambda: _says_nothing_is_left(service), lambda: f"{service.get()['status']}: all is done")

    operator.stop()
    assert _words(queue, "second") == clips()[0][1]
    _wait_until_asleep(service)
    report_figure("XADD, words, zero: with the operator, and again while it is stopped")

    operator.start()
    service.wait_for("Ready", "Idle", "True")


def test_a_job_in_a_tenants_own_stream_wakes_the_fleet(
    apply_service, operator: Operator, redis_url: str, namespace: str, raw, report_figure
):
    spoken = clips()[0][1]
    queue_id = f"{namespace}.{SERVICE}"
    settings = RedisSettings(redis_url)
    with (
        Client(settings, queue_id, tenant="acme", own_stream=True) as acme,
        Client(settings, queue_id, tenant="globex-eu", own_stream=True) as globex,
    ):
        service = apply_service(
            queue={"redis": {"url": redis_url}, "tenants": ["acme", "globex-eu"]},
            scaling=FAST,
            worker={"maxInFlight": 2, "drainSeconds": 10},
        )
        service.wait_for("Ready", "Idle", "True")
        operator.wait_for_reconciles(2)
        assert not service.pods()

        began = time.monotonic()
        assert _words(acme, "first") == spoken
        report_figure(
            f"XADD to a tenant's stream at zero replicas: {time.monotonic() - began:.1f} s to words"
        )
        until(lambda: "FleetWoke" in service.events(), "an Event tells that the fleet woke")
        _wait_until_asleep(service)

        # Taken out while its stream holds a job and nobody works: the job is done all the same.
        service.patch({"spec": {"suspend": True}})
        service.wait_for("Ready", "Suspended", "False")
        _submit(globex, "second")
        until(lambda: service.get()["status"]["queue"]["queued"] == 1, "the job is counted", 60)
        service.patch({"spec": {"queue": {"tenants": ["acme"]}}})
        message = service.wait_for("Degraded", "TenantRemoved", "False")["message"]
        assert "globex-eu" in message
        service.patch({"spec": {"suspend": False}})
        assert _result(globex, "second") == spoken
        service.wait_for("Degraded", "AsExpected", "False")
        assert not [name for name in _streams(service) if name.endswith(":globex-eu")]
        assert len(_streams(service)) == 6
        assert raw.xlen(globex.keys.stream("normal", "globex-eu")) == 0
        report_figure("a tenant taken out with a job in its stream: words, then gone")


def _streams(service: Service) -> list[str]:
    """Return the streams that KEDA watches, which are those of the status."""
    triggers = service.child("scaledobject")["spec"]["triggers"]
    watched = [trigger["metadata"]["stream"] for trigger in triggers]
    assert watched == [each["name"] for each in service.get()["status"]["queue"]["streams"]]
    return watched


def _words(queue: Client, job_id: str) -> str:
    _submit(queue, job_id)
    return _result(queue, job_id)


def _submit(queue: Client, job_id: str) -> None:
    queue.submit(Job(id=job_id, audio=clips()[0][0]))


def _result(queue: Client, job_id: str) -> str:
    result = dict(queue.wait([job_id], timeout_seconds=_POD_SECONDS))[job_id]
    assert result.state is State.DONE, result.error
    assert result.transcript is not None
    return result.transcript.text


def _says_nothing_is_left(service: Service) -> bool:
    status = service.get()["status"]
    queue = status["queue"]
    return status["replicas"] == "0/0" and queue["queued"] == queue["running"] == 0


def _wait_until_asleep(service: Service) -> None:
    until(
        lambda: service.child("deployment")["spec"]["replicas"] == 0,
        "the autoscaler asks for no pod",
        FAST["cooldownSeconds"] + 60,
    )
    until(lambda: not service.pods(), "the pods are gone", 60)

"""From XADD to words and back to zero, with the operator and without it."""

import pytest

from audio_files import clips
from cluster.kube import until
from operating.audit import AuditLog
from operating.process import Operator
from operating.services import FAST, Service
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.states import State

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
    status = service.get()["status"]
    assert status["replicas"] == "0/0"
    assert status["queue"]["queued"] == status["queue"]["running"] == 0

    operator.stop()
    assert _words(queue, "second") == clips()[0][1]
    _wait_until_asleep(service)
    report_figure("XADD, words, zero: with the operator, and again while it is stopped")

    operator.start()
    service.wait_for("Ready", "Idle", "True")


def _words(queue: Client, job_id: str) -> str:
    audio, _ = clips()[0]
    queue.submit(Job(id=job_id, audio=audio))
    result = dict(queue.wait([job_id], timeout_seconds=_POD_SECONDS))[job_id]
    assert result.state is State.DONE, result.error
    assert result.transcript is not None
    return result.transcript.text


def _wait_until_asleep(service: Service) -> None:
    until(
        lambda: service.child("deployment")["spec"]["replicas"] == 0,
        "the autoscaler asks for no pod",
        FAST["cooldownSeconds"] + 60,
    )
    until(lambda: not service.pods(), "the pods are gone", 60)

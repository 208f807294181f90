"""Ten lines are a fleet: at once, without a pod before there is work, and then without a write."""

import time
from pathlib import Path

import pytest
import yaml

from support.cluster.kube import Kube, until
from support.operator.audit import AuditLog
from support.operator.process import Operator
from support.operator.services import CHILDREN, Service

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300, func_only=True)]

SAMPLE = Path(__file__).parents[3] / "docs/samples/minimal.yaml"


@pytest.mark.alone
@pytest.mark.usefixtures("operator")
def test_the_sample_becomes_every_child_and_no_pod(
    kube: Kube, namespace: str, redis_url: str, audit: AuditLog, report_figure
):
    sample = yaml.safe_load(SAMPLE.read_text())
    # The operator is no pod here, so that it knows no names of the cluster's DNS.
    sample["spec"]["queue"]["redis"]["url"] = redis_url
    service = Service(kube, namespace)

    began = time.monotonic()
    kube.create(sample, namespace)
    service.wait_until_made(seconds=5)
    seconds = time.monotonic() - began
    service.wait_for("Ready", "Idle", "True")

    assert service.child("deployment")["spec"]["replicas"] == 0
    assert not audit.created_pods()
    report_figure(
        f"the ten-line sample: {len(CHILDREN)} children in {seconds:.2f} s, Ready in "
        f"{time.monotonic() - began:.1f} s, and no pod"
    )


def test_a_second_reconcile_writes_nothing(apply_service, operator: Operator, audit: AuditLog):
    service = apply_service()
    service.wait_until_made()
    service.wait_for("Ready", "Idle", "True")
    # KEDA's last words about a new ScaledObject are over when reconciles come only by the clock.
    until(lambda: _quiet(operator, audit), "the operator has nothing more to say", 60)

    again = audit.from_now()
    operator.wait_for_reconciles(2)
    assert again.writes() == []

    operator.stop()
    operator.start()
    operator.wait_for_reconciles(2)
    assert again.writes() == []
    assert any(entry["verb"] == "get" for entry in again.by_operator())


def _quiet(operator: Operator, audit: AuditLog) -> bool:
    before = len(audit.writes())
    operator.wait_for_reconciles(1)
    return len(audit.writes()) == before

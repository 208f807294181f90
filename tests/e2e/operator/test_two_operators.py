"""Two operators at once, as after a node that was lost and comes back."""

from pathlib import Path

import pytest

from support.cluster.kube import until
from support.operator.audit import AuditLog
from support.operator.process import Operator, running_operator

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300, func_only=True)]


def test_two_operators_do_not_fight(
    apply_service,
    account: Path,
    namespace: str,
    operator: Operator,
    audit: AuditLog,
    tmp_path: Path,
):
    folder = tmp_path / "second"
    folder.mkdir()
    with running_operator(account, folder, f"--namespaces={namespace}") as second:
        service = apply_service()
        service.wait_for("Ready", "Idle", "True")
        service.patch({"spec": {"pools": [{"name": "main", "replicas": {"max": 7}}]}})
        until(
            lambda: service.child("scaledobject")["spec"]["maxReplicaCount"] == 7,
            "the change is carried out",
        )

        def writes_in(reconciles: int) -> list[str]:
            later = audit.from_now()
            wanted = [(each, each.reconciles() + reconciles) for each in (operator, second)]
            until(
                lambda: all(each.reconciles() >= count for each, count in wanted),
                "more reconciles",
                90,
            )
            return later.writes()

        until(lambda: writes_in(1) == [], "neither has anything more to write", 90)
        assert writes_in(3) == []

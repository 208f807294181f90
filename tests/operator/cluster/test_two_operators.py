"""Two operators at once, as after a node that was lost and comes back."""

from pathlib import Path

import pytest

from cluster.kube import until
from operating.audit import AuditLog
from operating.process import Operator, running_operator

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

        def settled() -> bool:
            later = audit.from_now()
            operator.wait_for_looks(2)
            second.wait_for_looks(2)
            return later.writes() == []

        until(settled, "neither has anything more to write", 90)
        again = audit.from_now()
        operator.wait_for_looks(3)
        second.wait_for_looks(3)
        assert again.writes() == []

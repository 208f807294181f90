"""The operator is killed again and again while everything changes, and gets to the same end."""

import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.kube import until
from operating.audit import AuditLog
from operating.process import running_operator
from operating.services import CHILD, CHILDREN, FAST, Service
from whisperfleet_operator.drift import differs, stamped
from whisperfleet_operator.plan import Observed, make_plan
from whisperfleet_operator.resource import TranscriptionService

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900, func_only=True)]

KILLS = 50
SEED = 7
# From before its first call to after its last: an operator looks within some seconds of its start.
SHORTEST_LIFE_SECONDS = 1.0
LONGEST_LIFE_SECONDS = 5.0


def test_fifty_kills_end_where_none_would_have(
    account: Path,
    namespace: str,
    apply_service,
    audit: AuditLog,
    tmp_path: Path,
    report_figure: Callable[[str], None],
):
    chance = random.Random(SEED)
    # Redis is there, and no pod beside it shall be.
    audit = audit.from_now()
    service = apply_service(scaling=FAST)
    lives = 0
    with running_operator(account, tmp_path, f"--namespaces={namespace}") as operator:
        for kill in range(KILLS):
            _change(service, chance, kill)
            if operator.process is None:
                operator.start(wait=False)
            time.sleep(chance.uniform(SHORTEST_LIFE_SECONDS, LONGEST_LIFE_SECONDS))
            operator.kill()
            lives += 1
        operator.start()
        service.patch({"spec": {"suspend": False, "worker": {"drainSeconds": 33}}})
        until(lambda: not _unlike(service), f"everything is as planned: {_unlike(service)}", 60)
        service.wait_for("Ready", "Idle", "True")
        operator.stop()

    writes = len(audit.writes())
    # Not all lives were too short to do anything.
    assert writes > KILLS / 2
    assert not audit.created_pods()
    assert service.child("deployment")["spec"]["replicas"] == 0
    report_figure(f"{lives} kills, {writes} writes, and everything is as planned")


def _change(service: Service, chance: random.Random, number: int) -> None:
    """Give the operator something to do: a child is gone, or the spec is another."""
    if chance.random() < 0.5:
        try:
            service.delete(chance.choice(CHILDREN), CHILD)
        except subprocess.CalledProcessError:
            # The last life was too short to bring it back.
            return
    else:
        change = chance.choice(
            [
                {"worker": {"drainSeconds": 20 + number}},
                {"model": {"image": f"example/worker:0.1.{number}"}},
                {"suspend": bool(number % 2)},
                {"pools": [{"name": "main", "replicas": {"max": 1 + number}}]},
            ]
        )
        service.patch({"spec": change})


def _unlike(service: Service) -> list[str]:
    """Return the children that are not as the plan has them."""
    wanted = TranscriptionService.from_object(service.get())
    plan = make_plan(wanted, Observed())
    return [
        manifest["kind"]
        for manifest in (*plan.apply, *plan.autoscale)
        if differs(service.child(manifest["kind"]), stamped(manifest))
    ]

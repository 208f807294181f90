"""The operator is killed again and again while everything changes, and gets to the same end."""

import json
import random
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from support.cluster.kube import Json, until
from support.operator.audit import AuditLog
from support.operator.process import running_operator
from support.operator.services import AUTHENTICATION, CHILD, CHILDREN, FAST, Service
from whisperfleet_operator.drift import APPLIED_ANNOTATION

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900, func_only=True)]

# Fifty in all, in two stories, so that the wait for them can be shared.
KILLS = 25
SEEDS = (7, 8)
TWIN = "twin"
# Everything that a service can have, but for the ReplicaSets.
BELONGINGS = (
    *CHILDREN,
    AUTHENTICATION,
    "horizontalpodautoscaler",
    "pod",
    "configmap",
    "secret",
    "service",
    "role",
    "rolebinding",
)
# The revision counts rollouts, and the digest is of what the twin is named in.
HISTORY = ("deployment.kubernetes.io/revision", APPLIED_ANNOTATION)
# From before its first call to after its last: it reconciles some seconds after its start.
SHORTEST_LIFE_SECONDS = 1.0
LONGEST_LIFE_SECONDS = 5.0


@pytest.mark.parametrize("seed", SEEDS)
def test_many_kills_end_where_none_would_have(
    seed: int,
    account: Path,
    namespace: str,
    apply_service,
    audit: AuditLog,
    tmp_path: Path,
    report_figure: Callable[[str], None],
):
    chance = random.Random(seed)
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
        # What an operator makes of the same spec that was never killed.
        twin = _apply_twin(service)
        for each in (service, twin):
            each.wait_for("Ready", "Idle", "True")
        until(lambda: _differences(service, twin) == [], lambda: _told(service, twin), 60)
        operator.stop()

    writes = len(audit.writes())
    # Not all lives were too short to do anything.
    assert writes > KILLS / 2
    assert not audit.created_pods()
    assert service.child("deployment")["spec"]["replicas"] == 0
    report_figure(f"{lives} kills, {writes} writes, and everything is as if there had been none")


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


def _apply_twin(service: Service) -> Service:
    wanted = {
        "apiVersion": "whisperfleet.io/v1alpha1",
        "kind": "TranscriptionService",
        "metadata": {"name": TWIN, "namespace": service.namespace},
        "spec": service.get()["spec"],
    }
    service.kube.create(wanted, service.namespace)
    return Service(service.kube, service.namespace, TWIN)


def _differences(service: Service, twin: Service) -> list[str]:
    """Return the objects that only one of the two has, or that are not alike."""
    one, other = _belongings(service), _belongings(twin)
    return [name for name in sorted(one.keys() | other.keys()) if one.get(name) != other.get(name)]


def _told(service: Service, twin: Service) -> str:
    one, other = _belongings(service), _belongings(twin)
    return "\n".join(
        f"{name}:\n  {one.get(name)}\n  {other.get(name)}" for name in _differences(service, twin)
    )


def _belongings(service: Service) -> dict[str, str]:
    """Return what belongs to a service, by kind and name, as if the service were the twin.

    Of the ReplicaSets of earlier templates, which are empty, one has more than the other.
    """
    text = service.kube.run(
        *("-n", service.namespace, "get", ",".join(BELONGINGS), "-o", "json"),
        *("-l", f"whisperfleet.io/service={service.name}"),
    )
    listed = json.loads(text.replace(service.name, TWIN))["items"]
    return {
        f"{each['kind']} {each['metadata']['name']}": json.dumps(_wanted(each), sort_keys=True)
        for each in listed
    }


def _wanted(live: Json) -> Json:
    """Return what somebody wants of an object, without its history."""
    metadata = live["metadata"]
    annotations = metadata.get("annotations", {})
    (owner,) = metadata["ownerReferences"]
    return {
        "labels": metadata["labels"],
        "annotations": {key: text for key, text in annotations.items() if key not in HISTORY},
        "finalizers": metadata.get("finalizers"),
        "owner": {key: value for key, value in owner.items() if key != "uid"},
        "spec": live.get("spec"),
        "tokens": live.get("automountServiceAccountToken"),
    }

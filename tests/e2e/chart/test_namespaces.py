"""An operator that is let into one namespace works there, and nowhere else."""

import pytest

from support.chart.helm import CHART, Helm
from support.chart.releases import MakeNamespace, assert_nothing_left, objects_of
from support.cluster.clusters import Cluster
from support.cluster.fleet import run_redis
from support.cluster.kube import Json, Kube
from support.operator.audit import AuditLog
from support.operator.services import SERVICE, Service, manifest

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300, func_only=True)]

_FORBIDDEN = 403


@pytest.mark.parametrize("cluster_id", ["", "testing"], ids=["its uid", "a given id"])
def test_it_works_in_its_namespace_and_is_refused_elsewhere(
    cluster: Cluster,
    helm: Helm,
    kube: Kube,
    make_namespace: MakeNamespace,
    operator_image: str,
    worker_image: str,
    cluster_id: str,
) -> None:
    mine, other = make_namespace(), make_namespace()
    run_redis(kube, mine)
    outsider = _apply(kube, other, worker_image, f"redis://redis.{mine}.svc:6379/0")
    release = f"whisperfleet-{mine}"
    account = f"system:serviceaccount:{mine}:{release}-operator"
    audit = AuditLog.begin(cluster.testbed.audit_log, mine) if cluster.testbed else None

    helm.run(
        *("install", release, str(CHART), "--namespace", mine, "--wait"),
        *("--set", f"image.repository={operator_image},crds.install=false"),
        *("--set", f"watchNamespaces={{{mine}}},clusterId={cluster_id}"),
    )
    insider = _apply(kube, mine, worker_image, "redis://redis:6379/0")
    insider.wait_for("Ready", "Idle", "True")
    insider.wait_until_made()

    assert "status" not in outsider.get()
    assert outsider.children() == {}
    assert _may(kube, account, "list", mine, "transcriptionservices.whisperfleet.io")
    assert not _may(kube, account, "list", other, "transcriptionservices.whisperfleet.io")
    assert not _may(kube, account, "create", other, "deployments.apps")
    assert not _may(kube, account, "get", "kube-system", "secrets")
    if audit:
        assert _denied(audit, account) == []

    released = objects_of(helm, release, mine)
    assert not [each for each in released if each["kind"].startswith("ClusterRole")]
    elsewhere = {each["metadata"]["namespace"] for each in released} - {mine}
    assert elsewhere == (set() if cluster_id else {"kube-system"})
    helm.run("uninstall", release, "--namespace", mine, "--wait")
    assert_nothing_left(kube, release, but=set())


def _apply(kube: Kube, namespace: str, image: str, redis_url: str) -> Service:
    kube.create(manifest(SERVICE, namespace, image, redis_url), namespace)
    return Service(kube, namespace)


def _may(kube: Kube, account: str, verb: str, namespace: str, resource: str) -> bool:
    """Whether the operator's account may do something."""
    said = kube.show("auth", "can-i", verb, resource, "-n", namespace, "--as", account)
    return said.splitlines()[-1] == "yes"


def _denied(audit: AuditLog, account: str) -> list[str]:
    """Return what the operator asked for and was not given."""
    entries: list[Json] = [each for each in audit.entries() if each["user"]["username"] == account]
    assert entries
    return [each["requestURI"] for each in entries if each["responseStatus"]["code"] == _FORBIDDEN]

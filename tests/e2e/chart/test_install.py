"""The README and docs/install.md, block by block, as a reader runs them; and what runs then."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hack import images
from hack.images.recipes import ROOT
from hack.manifests import FOLDER
from support.chart.archives import renamed
from support.chart.hardening import assert_hardened, policies_of
from support.chart.helm import CHART, Helm, Json
from support.chart.notes import commands_of
from support.chart.releases import assert_nothing_left, everything_of
from support.cluster.clusters import Cluster
from support.cluster.kube import Kube, until
from support.operator.definition import CRD
from support.operator.services import RESOURCE, Service

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900, func_only=True)]

DOCUMENTS = (ROOT / "README.md", ROOT / "docs/install.md")
_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = [block for file in DOCUMENTS for block in _BLOCK.findall(file.read_text("utf-8"))]
# What a reader puts in: where the images are.
SETTING, *COMMANDS = BLOCKS
REGISTRY = images.OPERATOR.reference.partition("/")[0]

# The names that the documents give.
RELEASE = "whisperfleet"
SYSTEM = "whisperfleet-system"
NAMESPACE = "speech"
SERVICE = "calls"
DEFINITION = f"customresourcedefinition.apiextensions.k8s.io/{RESOURCE}"

_BLOCK_SECONDS = 300.0


@dataclass(frozen=True)
class Reader:
    """Someone with a shell in the checkout."""

    helm: Helm
    kubectl: Path

    def run(self, block: str) -> str:
        """Run a block; return what it writes, or fail with what it says."""
        setting = SETTING.replace("registry.example", REGISTRY)
        assert setting != SETTING
        programs = f"{Path(self.helm.command).parent}:{self.kubectl.parent}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"{setting}\n{block}"],
            cwd=ROOT,
            env={**self.helm.environment, "PATH": f"{programs}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=_BLOCK_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{block}\nsaid: {done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture
def reader(
    cluster: Cluster,
    kube: Kube,
    helm: Helm,
    operator_image: str,  # noqa: ARG001 - what the reader has pushed
    worker_image: str,  # noqa: ARG001
    tmp_path: Path,
) -> Iterator[Reader]:
    """A reader who begins with a cluster that has none of it, and leaves one."""
    cluster.load_image(renamed(images.build("redis"), "redis:7.2", tmp_path))
    _clear(kube, helm)
    yield Reader(helm, kube.kubectl)
    _clear(kube, helm)


@pytest.mark.alone
def test_the_documents_do_what_they_say(reader: Reader, kube: Kube) -> None:
    install, fleet, send, words, zero, upgrade, uninstall = COMMANDS
    service = Service(kube, NAMESPACE, SERVICE)

    said = reader.run(install)
    assert f"kubectl -n {SYSTEM} rollout status deployment/whisperfleet-operator" in said
    operator, redis = _pods(kube, SYSTEM)
    assert_hardened(kube, operator, token=True)
    assert policies_of(kube, operator) == ["whisperfleet-operator"]
    assert_hardened(kube, redis, token=False)
    assert policies_of(kube, redis) == ["whisperfleet-redis"]
    pasted = commands_of(said.partition("NOTES:\n")[2])
    tried = reader.run(pasted.replace(" apply -f -", " apply --dry-run=server -f -"))
    assert "transcriptionservice.whisperfleet.io/calls created (server dry run)" in tried

    assert "No resources found" not in reader.run(fleet)
    assert service.pods() == []

    reader.run(send)
    result = json.loads(reader.run(words).splitlines()[-1])
    assert result["transcript"]["text"] == "hello world good morning"
    (worker,) = service.pods()
    assert_hardened(kube, worker, token=False)
    assert policies_of(kube, worker) == ["calls-main"]

    reader.run(zero)
    assert service.pods() == []

    reader.run(upgrade)
    assert len(everything_of(kube, RELEASE)) > 8
    reader.run(uninstall)
    assert not kube.exists("Namespace", NAMESPACE)
    assert_nothing_left(kube, RELEASE, but={DEFINITION})


def test_the_data_of_the_redis_for_trying_out_goes_with_it(
    cluster: Cluster,
    helm: Helm,
    kube: Kube,
    namespace: str,
    operator_image: str,
    worker_image: str,  # noqa: ARG001 - it brings that of Redis
    tmp_path: Path,
) -> None:
    if cluster.testbed is None:
        pytest.skip(f"the cluster is {cluster.origin}, and its node is not this machine")
    release = f"stored-{namespace}"
    repository, _, tag = images.REDIS.reference.rpartition(":")
    folder = tmp_path / "data"
    folder.mkdir()
    # The kubelet changes no owner of a folder of its node.
    folder.chmod(0o777)
    kube.create(_volume(release, folder))
    try:
        helm.run(
            *("install", release, str(CHART), "--namespace", namespace, "--wait"),
            *("--set", f"image.repository={operator_image},crds.install=false"),
            *("--set", f"watchNamespaces={{{namespace}}},redis.enabled=true"),
            *("--set", f"redis.image.repository={repository},redis.image.tag={tag}"),
            *(
                "--set",
                f"redis.persistence.enabled=true,redis.persistence.storageClassName={release}",
            ),
        )
        assert list(folder.glob("appendonlydir/*"))
        claims = kube.run("-n", namespace, "get", "persistentvolumeclaims", "-o", "name").split()
        assert set(claims) < everything_of(kube, release)
        assert claims
        helm.run("uninstall", release, "--namespace", namespace, "--wait")
        assert_nothing_left(kube, release, but=set())
    finally:
        helm.run("uninstall", release, "--namespace", namespace, "--ignore-not-found", "--wait")
        kube.run("delete", "persistentvolume", release, "--wait=false")


def _volume(name: str, folder: Path) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": name,
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": str(folder)},
        },
    }


def _pods(kube: Kube, namespace: str) -> list[Json]:
    return sorted(kube.list("Pod", namespace), key=lambda pod: pod["metadata"]["name"])


def _clear(kube: Kube, helm: Helm) -> None:
    """Leave nothing of ours but the definition, which the release finds as one that it has kept."""
    if kube.exists("Namespace", NAMESPACE):
        kube.run("-n", NAMESPACE, "delete", RESOURCE, "--all")
        until(lambda: not kube.list("ScaledObject", NAMESPACE), "the ScaledObjects are gone", 60)
    helm.run("uninstall", RELEASE, "--namespace", SYSTEM, "--ignore-not-found", "--wait")
    # What other tests have applied by hand would not be the release's.
    kube.run("delete", "-f", str(FOLDER / "rbac.yaml"), "--ignore-not-found", "--wait=false")
    kube.delete("Namespace", NAMESPACE)
    for name in (NAMESPACE, SYSTEM):
        until(lambda name=name: not kube.exists("Namespace", name), f"{name} is gone", 60)
    # By its manager too: that of another would be in conflict with the release's.
    how = ("--server-side", "--force-conflicts", "--field-manager=helm")
    kube.run("apply", *how, "-f", str(CRD))
    owner = {"release-name": RELEASE, "release-namespace": SYSTEM}
    marks = [f"meta.helm.sh/{name}={value}" for name, value in owner.items()]
    kube.run("annotate", "--overwrite", "-f", str(CRD), *marks)
    kube.run("label", "--overwrite", "-f", str(CRD), "app.kubernetes.io/managed-by=Helm")

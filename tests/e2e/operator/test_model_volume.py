"""A model on a volume, beside an image that has another one baked in."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hack.images.recipes import ROOT, WORKER
from hack.testbed import Testbed
from support.audio.files import clips
from support.cluster.kube import Kube
from support.operator.process import Operator
from support.operator.services import FAST
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.engine.ctranslate2.models import digest_model

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400, func_only=True)]

CLAIM = "models"
_POD_SECONDS = 120


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The demo's model as another one, in a folder below the root of a volume."""
    folder = Path(shutil.copytree(ROOT / str(WORKER.model), tmp_path / "volume" / "en" / "small"))
    config = folder / "config.json"
    config.write_bytes(config.read_bytes() + b"\n")
    for path in (folder.parents[1], folder.parents[0], folder, *folder.iterdir()):
        path.chmod(0o755)
    return folder


@pytest.fixture
def claim(
    testbed: Testbed,  # noqa: ARG001 - its node is this machine
    kube: Kube,
    namespace: str,
    model: Path,
) -> Iterator[str]:
    """A claim whose volume is a folder of the node."""
    size, modes = {"storage": "1Gi"}, ["ReadOnlyMany"]
    shared = {"accessModes": modes, "storageClassName": namespace}
    source = {"hostPath": {"path": str(model.parents[1])}}
    volume = {"capacity": size, **shared, **source, "persistentVolumeReclaimPolicy": "Retain"}
    metadata = {"name": namespace}
    kube.create(
        {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": volume}
    )
    wanted = {**shared, "resources": {"requests": size}, "volumeName": namespace}
    metadata = {"name": CLAIM}
    kube.create(
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": wanted},
        namespace,
    )
    yield CLAIM
    kube.run("delete", "persistentvolume", namespace, "--wait=false")


def test_a_model_on_a_claim_gives_words(
    apply_service,
    operator: Operator,  # noqa: ARG001
    queue: Client,
    claim: str,
    model: Path,
    worker_image: str,
):
    source = {"volumeClaim": {"claimName": claim, "path": "en/small"}}
    service = apply_service(scaling=FAST, model={"image": worker_image, "source": source})
    service.wait_for("Ready", "Idle", "True")
    audio, said = clips()[0]
    job = queue.submit(Job(audio=audio))
    ((_, result),) = queue.wait([job], timeout_seconds=_POD_SECONDS)
    assert result.transcript, result.error
    assert result.transcript.text == said
    assert result.model
    assert result.model.digest == digest_model(model) != digest_model(ROOT / str(WORKER.model))
    (pod,) = service.pods()
    (mount,) = (
        each for each in pod["spec"]["containers"][0]["volumeMounts"] if each.get("subPath")
    )
    assert mount["readOnly"], json.dumps(mount)

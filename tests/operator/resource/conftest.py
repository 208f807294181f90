"""The cluster of `tests/cluster`, which knows our resource."""

from pathlib import Path

import pytest

from cluster.clusters import Cluster
from cluster.conftest import cluster
from cluster.kube import Kube
from whisperfleet_operator.resource.crd import FILE_NAME

__all__ = ["cluster"]

CRD = Path(__file__).parents[3] / "crds" / FILE_NAME


@pytest.fixture(scope="session")
def kube(cluster: Cluster) -> Kube:
    """The API server with our CRD, which stays: other tests may be using it."""
    cluster.kube.run("apply", "--server-side", "--force-conflicts", "-f", str(CRD))
    cluster.kube.run("wait", "--for=condition=Established", "-f", str(CRD))
    return cluster.kube

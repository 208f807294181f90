"""The definition of our resource in a cluster."""

from pathlib import Path
from typing import Final

from support.cluster.kube import Kube
from whisperfleet_operator.resource.crd import FILE_NAME

CRD: Final = Path(__file__).parents[3] / "crds" / FILE_NAME


def define_resource(kube: Kube) -> None:
    """Apply our CRD, which stays: other tests may be using it."""
    kube.run("apply", "--server-side", "--force-conflicts", "-f", str(CRD))
    kube.run("wait", "--for=condition=Established", "-f", str(CRD))

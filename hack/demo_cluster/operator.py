"""The resource and the operator in the cluster, as they are on `apply`; gone again if we came."""

from contextlib import ExitStack
from typing import Final

from hack.demo_cluster.errors import DemoError
from hack.demo_cluster.kubectl import Kubectl, Manifest, read_manifests
from hack.images import OPERATOR
from hack.images.recipes import ROOT

__all__ = ["bring_operator"]

_CRD: Final = ROOT / "crds/transcriptionservices.whisperfleet.io.yaml"
_RIGHTS: Final = ROOT / "operator/manifests/rbac.yaml"
_DEPLOYMENT: Final = ROOT / "operator/manifests/deployment.yaml"
_READY_SECONDS: Final = 120


def bring_operator(kubectl: Kubectl, namespace: str, left: ExitStack) -> None:
    """Apply the resource's definition and an operator for one namespace; return once it is ready.

    What was not there before is deleted by `left`. An operator that is there stays as it is: it may
    be at work. Raises DemoError.
    """
    definitions = read_manifests(_CRD)
    _apply(kubectl, definitions, left)
    kubectl.run("wait", "--for=condition=Established", "-f", str(_CRD), "--timeout=60s")
    _apply(kubectl, [_within(namespace, right) for right in read_manifests(_RIGHTS)], left)
    (deployment,) = (_for_one_namespace(namespace, m) for m in read_manifests(_DEPLOYMENT))
    if not kubectl.exists(deployment):
        _apply(kubectl, [deployment], left)
    _wait_until_ready(kubectl, deployment)


def _apply(kubectl: Kubectl, manifests: list[Manifest], left: ExitStack) -> None:
    for manifest in manifests:
        if not kubectl.exists(manifest):
            left.callback(kubectl.delete, manifest)
        kubectl.apply([manifest])


def _wait_until_ready(kubectl: Kubectl, deployment: Manifest) -> None:
    metadata = deployment["metadata"]
    namespace, name = metadata["namespace"], f"deployment/{metadata['name']}"
    try:
        kubectl.run("-n", namespace, "rollout", "status", name, f"--timeout={_READY_SECONDS}s")
    except DemoError as error:
        said = kubectl.show("-n", namespace, "logs", name, "--tail=3")
        raise DemoError(f"{error}\nThe operator's last words:\n{said}") from error


def _within(namespace: str, right: Manifest) -> Manifest:
    """Return a right over all namespaces as one over this one alone; others stay as they are."""
    if right["kind"] != "ClusterRoleBinding":
        return right
    metadata = {"name": right["metadata"]["name"], "namespace": namespace}
    return {**right, "kind": "RoleBinding", "metadata": metadata}


def _for_one_namespace(namespace: str, deployment: Manifest) -> Manifest:
    """Return the operator's Deployment with the image built here, for one namespace.

    What others have in the same cluster is none of this operator's business.
    """
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    container["image"] = OPERATOR.reference
    container["imagePullPolicy"] = "Never"
    container["args"] = [*container["args"], f"--namespaces={namespace}"]
    return deployment

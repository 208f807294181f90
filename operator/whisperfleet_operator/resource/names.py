"""What everything is called: the API, the children, their labels and annotations."""

from typing import Final

__all__ = [
    "API_VERSION",
    "ASKED_BY_ANNOTATION",
    "CREATION_MANAGER",
    "CREDENTIALS_ANNOTATION",
    "FIELD_MANAGER",
    "GROUP",
    "KIND",
    "MANAGED_BY_LABEL",
    "MAX_CHILD_NAME",
    "OPERATOR",
    "PLURAL",
    "POOL_LABEL",
    "RECONCILE_ANNOTATION",
    "RECONCILE_DISABLED",
    "SAME_CREDENTIALS_ANNOTATION",
    "SERVICE_LABEL",
    "SHORT_NAME",
    "SINGULAR",
    "VERSION",
    "WAKING_MANAGER",
    "WORKER_CONTAINER",
    "child_labels",
    "child_name",
    "children_selector",
    "pod_selector",
]

GROUP: Final = "whisperfleet.io"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "TranscriptionService"
SINGULAR: Final = "transcriptionservice"
PLURAL: Final = "transcriptionservices"
SHORT_NAME: Final = "tsvc"

OPERATOR: Final = "whisperfleet-operator"
FIELD_MANAGER: Final = OPERATOR
# Who POSTs a Deployment with no replicas; what it wrote the applied object never mentions.
CREATION_MANAGER: Final = f"{OPERATOR}-creation"
# Who asks for a pod where the autoscaler does not.
WAKING_MANAGER: Final = f"{OPERATOR}-waking"

MANAGED_BY_LABEL: Final = "app.kubernetes.io/managed-by"
SERVICE_LABEL: Final = f"{GROUP}/service"
POOL_LABEL: Final = f"{GROUP}/pool"

# On the service: `disabled` keeps the operator from changing anything of it.
RECONCILE_ANNOTATION: Final = f"{GROUP}/reconcile"
RECONCILE_DISABLED: Final = "disabled"
# On the pod template: a digest of the credentials, so that workers are rolled with them.
CREDENTIALS_ANNOTATION: Final = f"{GROUP}/credentials"
# On the Deployment: another digest of the same credentials.
SAME_CREDENTIALS_ANNOTATION: Final = f"{GROUP}/same-credentials"

# On the Lease of a namespace: the release that would look after it.
ASKED_BY_ANNOTATION: Final = f"{GROUP}/asked-by"

WORKER_CONTAINER: Final = "worker"

# KEDA puts `keda-hpa-` before a ScaledObject's name, and both must fit into 63 characters.
MAX_CHILD_NAME: Final = 54


def child_name(service: str, pool: str) -> str:
    """Return the name of every child of a pool."""
    return f"{service}-{pool}"


def pod_selector(service: str, pool: str) -> dict[str, str]:
    """Return the labels that pick the pods of a pool; a Deployment can never change them."""
    return {SERVICE_LABEL: service, POOL_LABEL: pool}


def child_labels(service: str, pool: str) -> dict[str, str]:
    """Return the labels of every child of a pool, and of its pods."""
    return {
        "app.kubernetes.io/name": "whisperfleet",
        "app.kubernetes.io/instance": service,
        "app.kubernetes.io/component": "worker",
        MANAGED_BY_LABEL: OPERATOR,
        **pod_selector(service, pool),
    }


def children_selector(service: str | None = None) -> str:
    """Return the label selector, as a server reads it, of a service's children and pods, or all."""
    ours = f"{MANAGED_BY_LABEL}={OPERATOR}"
    return ours if service is None else f"{ours},{SERVICE_LABEL}={service}"

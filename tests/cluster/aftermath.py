"""What is to be seen of a namespace after its test has failed."""

from collections import deque
from collections.abc import Iterator

from cluster.clusters import Cluster
from cluster.kube import Kube

_OBJECTS = "all,scaledobjects,hpa,configmaps"
_LINES = 80


def aftermath(cluster: Cluster, namespace: str) -> list[tuple[str, str]]:
    """Return titles and texts: the objects, the events, the logs of the pods and of KEDA."""
    kube = cluster.kube
    return [
        ("objects", kube.show("get", _OBJECTS, "-n", namespace, "-o", "wide")),
        ("events", kube.show("get", "events", "-n", namespace, "--sort-by=.lastTimestamp")),
        ("scaling", kube.show("get", "scaledobjects,hpa", "-n", namespace, "-o", "yaml")),
        ("pods", kube.show("describe", "pods", "-n", namespace)),
        *_pod_logs(kube, namespace),
        ("the log of KEDA", _keda_log(cluster, namespace)),
    ]


def _pod_logs(kube: Kube, namespace: str) -> Iterator[tuple[str, str]]:
    for pod in kube.list("Pod", namespace):
        name = pod["metadata"]["name"]
        asked = ("logs", "-n", namespace, name, f"--tail={_LINES}")
        yield f"the log of {name}", kube.show(*asked)
        statuses = pod["status"].get("containerStatuses", ())
        if any(status["restartCount"] for status in statuses):
            yield f"the log of {name} before its restart", kube.show(*asked, "--previous")


def _keda_log(cluster: Cluster, namespace: str) -> str:
    if cluster.testbed:
        lines = iter(cluster.testbed.log("keda-operator").read_text().splitlines())
    else:
        said = cluster.kube.show("logs", "-n", "keda", "deployment/keda-operator", "--tail=5000")
        lines = iter(said.splitlines())
    return "\n".join(deque((line for line in lines if namespace in line), maxlen=_LINES))

"""What is to be seen of a namespace after its test has failed."""

from collections import deque
from collections.abc import Callable, Iterator

from support.cluster.clusters import Cluster
from support.cluster.kube import Kube

Section = tuple[str, Callable[[], str]]

_OBJECTS = "all,scaledobjects,hpa,configmaps"
_SERVICES = "transcriptionservices.whisperfleet.io"
_LINES = 80
# A cluster that does not answer must not hold up the report of every test.
_QUICK = "--request-timeout=15s"


def aftermath(cluster: Cluster, namespace: str) -> list[tuple[str, str]]:
    """Return titles and texts: the objects, the events, the logs of the pods and of KEDA.

    What cannot be had is replaced by the reason: the test's own failure is what counts.
    """
    return [(title, _told(look)) for title, look in _sections(cluster, namespace)]


def _told(look: Callable[[], str]) -> str:
    try:
        return look()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is said
        return f"cannot be had: {type(error).__name__}: {error}"


def _sections(cluster: Cluster, namespace: str) -> Iterator[Section]:
    kube = cluster.kube

    def show(*arguments: str) -> Callable[[], str]:
        return lambda: kube.show(_QUICK, "-n", namespace, *arguments)

    yield "objects", show("get", _OBJECTS, "-o", "wide")
    yield "events", show("get", "events", "--sort-by=.lastTimestamp")
    yield "scaling", show("get", "scaledobjects,hpa", "-o", "yaml")
    yield "services", show("get", _SERVICES, "-o", "yaml")
    yield "pods", show("describe", "pods")
    yield "the logs of the pods", lambda: _pod_logs(kube, namespace)
    yield "the log of KEDA", lambda: _keda_log(cluster, namespace)


def _pod_logs(kube: Kube, namespace: str) -> str:
    found = []
    for pod in kube.list("Pod", namespace):
        name = pod["metadata"]["name"]
        asked = (_QUICK, "logs", "-n", namespace, name, f"--tail={_LINES}")
        found += [f"-- {name}", kube.show(*asked)]
        statuses = pod["status"].get("containerStatuses", ())
        if any(status["restartCount"] for status in statuses):
            found += [f"-- {name} before its restart", kube.show(*asked, "--previous")]
    return "\n".join(found)


def _keda_log(cluster: Cluster, namespace: str) -> str:
    if cluster.testbed:
        lines = iter(cluster.testbed.log("keda-operator").read_text().splitlines())
    else:
        asked = ("logs", "-n", "keda", "deployment/keda-operator", "--tail=5000")
        lines = iter(cluster.kube.show(_QUICK, *asked).splitlines())
    return "\n".join(deque((line for line in lines if namespace in line), maxlen=_LINES))

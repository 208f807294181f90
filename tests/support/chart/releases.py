"""What a release has brought, and what of it is left."""

from collections.abc import Callable

from support.chart.helm import Helm, Json, load_all
from support.cluster.kube import Kube, until

MakeNamespace = Callable[[], str]

# Of whom the API server makes a list itself, at each request.
_COMPUTED = ("events", "metrics.k8s.io", "componentstatuses")


def objects_of(helm: Helm, release: str, namespace: str) -> list[Json]:
    """Return the objects that a release consists of."""
    return load_all(helm.run("get", "manifest", release, "--namespace", namespace))


def everything_of(kube: Kube, release: str) -> set[str]:
    """Return the names of all objects of a release, of whatever kind, also those made for them."""
    kinds = kube.run("api-resources", "--verbs=list", "-o", "name").split()
    asked = ",".join(kind for kind in kinds if not any(each in kind for each in _COMPUTED))
    label = f"app.kubernetes.io/instance={release}"
    return set(kube.run("get", asked, "-A", "-l", label, "-o", "name").split())


def assert_nothing_left(kube: Kube, release: str, but: set[str]) -> None:
    """Wait until what is left of a release is `but` that: some of it goes after Helm has ended."""
    until(
        lambda: everything_of(kube, release) == but,
        lambda: f"only {but} is left of {release}; there is {everything_of(kube, release)}",
        60,
    )

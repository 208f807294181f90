"""What a release has brought, and what of it is left."""

from chart.helm import Helm, Json, load_all
from cluster.kube import Kube


def objects_of(helm: Helm, release: str, namespace: str) -> list[Json]:
    """Return the objects that a release consists of."""
    return load_all(helm.run("get", "manifest", release, "--namespace", namespace))


def still_there(kube: Kube, objects: list[Json]) -> list[str]:
    """Return the kinds of those objects that the cluster has."""
    return [each["kind"] for each in objects if _exists(kube, each)]


def _exists(kube: Kube, obj: Json) -> bool:
    metadata = obj["metadata"]
    group, _, version = obj["apiVersion"].rpartition("/")
    kind = f"{obj['kind']}.{version}.{group}" if group else obj["kind"]
    where = ("-n", metadata["namespace"]) if "namespace" in metadata else ()
    return bool(kube.run("get", kind, metadata["name"], *where, "--ignore-not-found"))

"""What the operator may do, and what it did, so that the two can be compared."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import yaml

from support.cluster.kube import until
from support.operator.process import MANIFESTS
from support.operator.services import Service
from whisperfleet.contract.keys import Keys
from whisperfleet.queue import RedisSettings
from whisperfleet_operator.resource.names import ASKED_BY_ANNOTATION

# A denied call is one that somebody wrote and nobody allowed.
_FORBIDDEN = 403
# This is what a namespace on its way out answers to whoever has every right.
_ON_ITS_WAY_OUT = "is being terminated"

Entry = dict[str, Any]


class Right(NamedTuple):
    """A verb on a resource. `role` is the namespace of a Role, or empty for the ClusterRole."""

    role: str
    verb: str
    group: str
    resource: str
    name: str = ""


def granted() -> set[Right]:
    documents = yaml.safe_load_all((MANIFESTS / "rbac.yaml").read_text())
    return {
        Right(document["metadata"].get("namespace", ""), verb, group, resource, name)
        for document in documents
        if document["kind"] in ("ClusterRole", "Role")
        for rule in document["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [""])
        for verb in rule["verbs"]
    }


def denied(entries: Iterable[Entry]) -> list[str]:
    return [
        f"{entry['verb']} {entry['requestURI']}"
        for entry in entries
        if entry["responseStatus"]["code"] == _FORBIDDEN
        and _ON_ITS_WAY_OUT not in entry["responseStatus"].get("message", "")
    ]


def used(entries: Iterable[Entry]) -> set[Right]:
    """Return the rights that were needed for these calls, each under the role that shall give it.

    What needs none, such as a read of the API server's schemas, is left out.
    """
    rights = {_right(entry) for entry in entries if entry.get("objectRef", {}).get("resource")}
    # An apply of what is not there needs the right to create, and is logged as a patch.
    applied = {
        right._replace(verb="create")
        for right in rights
        if right.verb == "patch" and "/" not in right.resource
    }
    # Only what comes every five minutes, or where a watch is late, reads the service itself.
    resync = Right("", "get", "whisperfleet.io", "transcriptionservices")
    return rights | applied | {resync}


def live_an_eventful_life(service: Service, redis_url: str) -> None:
    """Give the operator reason to use each of its rights."""
    service.wait_for("Ready", "Idle", "True")
    access = {"url": redis_url, "credentials": {"secretName": "redis-access"}}
    service.patch({"spec": {"queue": {"redis": access}}})
    service.wait_for("Ready", "SecretMissing", "False")
    service.kube.run(
        *("-n", service.namespace, "create", "secret", "generic", "redis-access"),
        "--from-literal=password=wrong",
    )
    service.wait_for("Ready", "QueueRefused", "False")
    service.patch({"spec": {"queue": {"redis": {"credentials": None}}}})
    service.wait_for("Ready", "Idle", "True")
    # As another release asks whether there is one.
    lease = ("-n", service.namespace, "annotate", "lease", "whisperfleet-operator")
    service.kube.run(*lease, f"{ASKED_BY_ANNOTATION}=other/operator")
    until(lambda: not _is_asked(service), "the question is answered", 60)
    # KEDA fails for the pool's successor, which has work.
    hard = "--hard=count/horizontalpodautoscalers.autoscaling=0"
    service.kube.run("-n", service.namespace, "create", "quota", "autoscalers", hard)
    until(lambda: service.get("quota", "autoscalers").get("status"), "the quota is counted")
    scaling = {"wakeAfterSeconds": 1}
    pools = [{"name": "renamed", "replicas": {"max": 1}}]
    service.patch({"spec": {"pools": pools, "scaling": scaling}})
    until(lambda: not service.children(), "the children of the old pool are gone")
    service.wait_for("AutoscalerReady", "AutoscalerFailed", "False", 120)
    with RedisSettings(redis_url).connect() as raw:
        stream = Keys(f"{service.namespace}.{service.name}").stream("normal")
        raw.xadd(stream, {"url": "https://example.org/a.wav"})
    until(lambda: "WokenByOperator" in service.events(), "the operator wakes a pod", 90)


def _is_asked(service: Service) -> bool:
    lease = service.get("lease", "whisperfleet-operator")
    return bool(lease["metadata"]["annotations"][ASKED_BY_ANNOTATION])


def _right(entry: Entry) -> Right:
    about = entry["objectRef"]
    subresource = f"/{about['subresource']}" if "subresource" in about else ""
    resource = about["resource"] + subresource
    # A namespace is an object of itself to the API server.
    by_name = (about["namespace"], about["name"]) if resource == "namespaces" else ("", "")
    role, name = by_name
    return Right(role, entry["verb"], about.get("apiGroup", ""), resource, name)

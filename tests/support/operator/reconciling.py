"""A service in a fake Kubernetes, and the operator's reconcile of it."""

import base64
import uuid
from pathlib import Path
from typing import Any, Final

from support.operator.fake_kube import FakeKube
from support.operator.services import CHILD, SERVICE, manifest
from support.operator.world import NAMESPACE
from whisperfleet.contract.keys import Keys
from whisperfleet.queue import RedisSettings
from whisperfleet_operator.cache import ObjectCache
from whisperfleet_operator.kube import Object
from whisperfleet_operator.kube.kinds import (
    CHILD_KINDS,
    DEPLOYMENT,
    SCALED_OBJECT,
    Kind,
)
from whisperfleet_operator.kube.kinds import (
    SERVICE as SERVICE_KIND,
)
from whisperfleet_operator.memory import ServiceMemories
from whisperfleet_operator.observe import KedaWatch
from whisperfleet_operator.plan import PolicyPorts
from whisperfleet_operator.queues import QueueProbe
from whisperfleet_operator.reconcile import Reconciler
from whisperfleet_operator.resource.names import SERVICE_LABEL
from whisperfleet_operator.service_metrics import ServiceMetricsCollector

KEY: Final = (NAMESPACE, SERVICE)
KINDS: Final = {kind.name: kind for kind in CHILD_KINDS}
# The children of a service whose Redis asks for no password.
ALL: Final = {
    "Deployment",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "ScaledObject",
    "ServiceAccount",
}

_GROUP: Final = "apis/keda.sh/v1alpha1"
KEDA_INDEX: Final[dict[str, Object]] = {
    "/openapi/v3": {"paths": {_GROUP: {"serverRelativeURL": f"/openapi/v3/{_GROUP}?hash=1"}}}
}


def keda_schema(**fallback: Any) -> dict[str, Object]:
    """Return what KEDA publishes, with these fields of `spec.fallback`."""
    spec = {"properties": {"fallback": {"properties": fallback}}}
    schema = {
        "properties": {"spec": spec},
        "x-kubernetes-group-version-kind": [{"group": "keda.sh", "kind": "ScaledObject"}],
    }
    login = {
        "x-kubernetes-group-version-kind": [{"group": "keda.sh", "kind": "TriggerAuthentication"}]
    }
    schemas = {
        "sh.keda.v1alpha1.ScaledObject": schema,
        "sh.keda.v1alpha1.TriggerAuthentication": login,
    }
    document = {"components": {"schemas": schemas}}
    return {f"/openapi/v3/{_GROUP}?hash=1": document}


KEDA_SCHEMA: Final = keda_schema(behavior={"type": "string"}, replicas={"type": "integer"})


class World:
    """The service and the parts of an operator, with a clock of their own.

    What the watches would tell is told at once, unless `deaf` is set.
    """

    def __init__(self, kube: FakeKube, redis_url: str, folder: Path) -> None:
        self.kube = kube
        self.settings = RedisSettings(redis_url)
        self.queue_id = f"test.{uuid.uuid4().hex[:12]}"
        self.keys = Keys(self.queue_id)
        self.now = 1000.0
        self.deaf = False
        self.release = "system/operator"
        self._folder = folder
        kube.watcher = self._watch
        self.restart()

    def restart(self) -> None:
        """Begin with an operator that knows nothing yet."""
        self.cache = ObjectCache(SERVICE_LABEL)
        self.memories = ServiceMemories()
        self.service_metrics = ServiceMetricsCollector(self.memories)
        self.reconciler = Reconciler(
            self.kube,
            self.cache,
            QueueProbe(self._folder, lambda: self.now, patience_seconds=10),
            KedaWatch(self.kube, lambda: self.now),
            self.memories,
            "cluster-1",
            self.release,
            PolicyPorts(),
            lambda: self.now,
        )

    def apply(self, **spec: Any) -> Object:
        """Apply the service, as a person does."""
        wanted = manifest(SERVICE, NAMESPACE, "example/worker:0.1.0", self.settings.url, **spec)
        wanted["spec"]["queue"].setdefault("id", self.queue_id)
        before = len(self.kube.writes)
        made = self.kube.apply(wanted, "kubectl")
        del self.kube.writes[before:]
        return made

    def reconcile(self, after_seconds: float = 60.0) -> float | None:
        """Reconcile once, later; return when to do so again."""
        self.now += after_seconds
        return self.reconciler.reconcile(KEY)

    def service(self) -> Object:
        return self.kube.get(SERVICE_KIND, *KEY)

    def condition(self, name: str) -> tuple[str, str, str]:
        """Return a condition's status, reason and message."""
        for each in self.service()["status"]["conditions"]:
            if each["type"] == name:
                return each["status"], each["reason"], each["message"]
        raise LookupError(name)

    def ready(self) -> tuple[str, str]:
        return self.condition("Ready")[:2]

    def child(self, kind: Kind = DEPLOYMENT) -> Object:
        return self.kube.get(kind, NAMESPACE, CHILD)

    def children(self) -> set[str]:
        """Return the kinds of children that there are."""
        return {
            kind.name
            for kind in CHILD_KINDS
            if self.kube.list(kind, NAMESPACE, f"{SERVICE_LABEL}={SERVICE}")
        }

    def keda_says(self, **conditions: str) -> None:
        """Let KEDA answer on the ScaledObject."""
        listed = [{"type": name, "status": status} for name, status in conditions.items()]
        self.kube.edit(
            SCALED_OBJECT,
            NAMESPACE,
            CHILD,
            lambda live: live.update(status={"conditions": listed}),
        )

    def make_secret(self, name: str, labels: dict[str, str] | None = None, **values: str) -> None:
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        before = len(self.kube.writes)
        self.kube.apply(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels or {}},
                "data": data,
            },
            "kubectl",
        )
        del self.kube.writes[before:]

    def events(self) -> list[str]:
        """Return the reasons of the Events, oldest first."""
        listed = self.kube.list(Kind("v1", "Event", "events"), NAMESPACE, "")
        return [event["reason"] for event in listed]

    def writes(self) -> list[str]:
        """Return what the operator has written, and forget it."""
        written = [f"{verb} {kind}" for verb, kind, _ in self.kube.writes]
        self.kube.writes.clear()
        return written

    def _watch(self, change: str, obj: Object) -> None:
        labelled = SERVICE_LABEL in obj["metadata"].get("labels", {})
        watched = obj["kind"] == SERVICE_KIND.name or labelled
        if self.deaf or not watched:
            return
        if change == "DELETED":
            self.cache.saw_deleted(obj)
        else:
            self.cache.saw(obj)

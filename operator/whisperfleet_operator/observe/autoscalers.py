"""The HorizontalPodAutoscalers of a namespace: KEDA's, and those of others on our Deployments."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from whisperfleet_operator.kube import Kube, KubeError, Object
from whisperfleet_operator.kube.kinds import DEPLOYMENT, HPA, SCALED_OBJECT

__all__ = ["AutoscalerReader", "is_kedas"]


# Namespaces of services that are gone are forgotten.
_KEPT_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class _Listed:
    at: float
    hpas: tuple[Object, ...] | None


class AutoscalerReader:
    """Lists them, once for all services of a namespace; for any thread.

    KEDA's carry our labels, others' do not, and all of them change every 15 s: so they are read
    when needed and not watched.
    """

    def __init__(self, kube: Kube, clock: Callable[[], float] = time.monotonic) -> None:
        self._kube = kube
        self._clock = clock
        self._listed: dict[str, _Listed] = {}
        self._lock = threading.Lock()

    def of_deployment(
        self, namespace: str, name: str, most_seconds_old: float
    ) -> tuple[Object, ...] | None:
        """Return those whose target is the Deployment; None where they cannot be listed."""
        hpas = self._read(namespace, most_seconds_old)
        if hpas is None:
            return None
        return tuple(hpa for hpa in hpas if _scales(hpa, name))

    def _read(self, namespace: str, most_seconds_old: float) -> tuple[Object, ...] | None:
        now = self._clock()
        with self._lock:
            listed = self._listed.get(namespace)
        if listed is not None and now - listed.at < most_seconds_old:
            return listed.hpas
        try:
            hpas = tuple(map(_slim, self._kube.list(HPA, namespace, "")))
        except KubeError:
            # The role may be an older release's. KEDA's conditions must do; no reconcile fails.
            hpas = None
        with self._lock:
            for other, old in list(self._listed.items()):
                if now - old.at > _KEPT_SECONDS:
                    del self._listed[other]
            self._listed[namespace] = _Listed(now, hpas)
        return hpas


def is_kedas(hpa: Object, scaled_object: Object | None) -> bool:
    """Whether KEDA made a HorizontalPodAutoscaler for this ScaledObject."""
    name = (scaled_object or {}).get("metadata", {}).get("name")
    return any(
        owner.get("kind") == SCALED_OBJECT.name and owner.get("name") == name
        for owner in hpa["metadata"].get("ownerReferences", ())
    )


def _slim(hpa: Object) -> Object:
    """Keep what anybody here asks for."""
    metadata = {
        name: value
        for name, value in hpa["metadata"].items()
        if name in ("name", "ownerReferences")
    }
    target = hpa.get("spec", {}).get("scaleTargetRef", {})
    conditions = hpa.get("status", {}).get("conditions") or []
    return {
        "metadata": metadata,
        "spec": {"scaleTargetRef": target},
        "status": {"conditions": conditions},
    }


def _scales(hpa: Object, name: str) -> bool:
    target = hpa.get("spec", {}).get("scaleTargetRef", {})
    return (target.get("kind"), target.get("name")) == (DEPLOYMENT.name, name)

"""Whether KEDA is there and new enough, from what the API server publishes to everybody.

The version of KEDA is nowhere in the API. Its schema is: `spec.fallback.behavior` of a ScaledObject
came with 2.17, the first release that wakes a fleet on one job (2.16 needs two,
kedacore/keda#6478).
"""

import threading
import time
from collections.abc import Callable
from enum import Enum
from typing import Any

from whisperfleet_operator.kube import Kube, KubeError, NotFoundError

__all__ = ["OLDEST_KEDA", "Keda", "KedaWatch"]

OLDEST_KEDA = "2.17"

_INDEX = "/openapi/v3"
_GROUP = "apis/keda.sh/v1alpha1"
_MISSING_SECONDS = 5.0
_PRESENT_SECONDS = 10.0
# Both of which a service may need; the CRDs come one after the other.
_KINDS = frozenset({"ScaledObject", "TriggerAuthentication"})


class Keda(Enum):
    """What there is of KEDA."""

    MISSING = "missing"
    TOO_OLD = "too old"
    READY = "ready"


class KedaWatch:
    """Looks rarely: the schema is read again only when its hash has changed."""

    def __init__(self, kube: Kube, clock: Callable[[], float] = time.monotonic) -> None:
        self._kube = kube
        self._clock = clock
        self._lock = threading.Lock()
        self._state = Keda.MISSING
        self._address: str | None = None
        self._failure: KubeError | None = None
        self._look_again = float("-inf")

    def state(self) -> Keda:
        """Return what there is. Raises KubeError where the API server does not say.

        A failure is remembered too: those who wait while one asks a server that hangs need not ask
        it one after the other.
        """
        with self._lock:
            if self._clock() >= self._look_again:
                self._ask()
            if self._failure is not None:
                raise self._failure.with_traceback(None)
            return self._state

    def doubt(self) -> None:
        """Look again at the next question: what was there seems to be gone."""
        with self._lock:
            self._look_again = float("-inf")

    def _ask(self) -> None:
        try:
            self._state, self._failure = self._look(), None
        except KubeError as error:
            self._failure = error
        is_well = self._failure is None and self._state is Keda.READY
        self._look_again = self._clock() + (_PRESENT_SECONDS if is_well else _MISSING_SECONDS)

    def _look(self) -> Keda:
        entry = self._kube.read(_INDEX)["paths"].get(_GROUP)
        if entry is None:
            self._address = None
            return Keda.MISSING
        # The address carries a hash of the document.
        address: str = entry["serverRelativeURL"]
        if address == self._address:
            return self._state
        try:
            document = self._kube.read(address)
        except NotFoundError:
            return Keda.MISSING
        self._address = address
        return _judge(document)


def _judge(document: dict[str, Any]) -> Keda:
    by_kind = {
        each["kind"]: schema
        for schema in document.get("components", {}).get("schemas", {}).values()
        for each in schema.get("x-kubernetes-group-version-kind", ())
    }
    if not by_kind.keys() >= _KINDS:
        return Keda.MISSING
    fallback = _property(_property(by_kind["ScaledObject"], "spec"), "fallback")
    return Keda.READY if _property(fallback, "behavior") else Keda.TOO_OLD


def _property(schema: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = schema.get("properties", {}).get(name, {})
    return found

"""Whether KEDA is there and new enough, from what the API server publishes to everybody.

The version of KEDA is nowhere in the API. Its schema is: `spec.fallback.behavior` of a ScaledObject
came with 2.17, the first release that wakes a fleet on one job (2.16 needs two,
kedacore/keda#6478).

A server that has just started publishes schemas later than it answers. So KEDA is taken for missing
only where discovery knows its kinds neither, and where both have said so twice, some time apart.
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
_DISCOVERY = f"/{_GROUP}"
_MISSING_SECONDS = 5.0
_PRESENT_SECONDS = 10.0
# Between two checks that find nothing.
_CONFIRM_SECONDS = 2.0
_BELIEVED_ABSENCES = 2
# Both of which a service may need; the CRDs come one after the other.
_KINDS = frozenset({"ScaledObject", "TriggerAuthentication"})


class Keda(Enum):
    """What there is of KEDA; UNKNOWN until that is certain for the first time."""

    UNKNOWN = "unknown"
    MISSING = "missing"
    TOO_OLD = "too old"
    READY = "ready"

    @property
    def has_kinds(self) -> bool:
        """Whether objects of KEDA's kinds can be read and written."""
        return self in (Keda.TOO_OLD, Keda.READY)


class KedaWatch:
    """Checks rarely: the schema is read again only when its hash has changed."""

    def __init__(self, kube: Kube, clock: Callable[[], float] = time.monotonic) -> None:
        self._kube = kube
        self._clock = clock
        self._lock = threading.Lock()
        self._state = Keda.UNKNOWN
        # Where the last schema was that had both kinds, and what it said.
        self._schema: tuple[str, Keda] | None = None
        self._absences = 0
        self._failure: KubeError | None = None
        self._check_due = float("-inf")

    def state(self) -> Keda:
        """Return what there is. Raises KubeError where the API server does not say.

        A failure is remembered too: those who wait while one asks a server that hangs need not ask
        it one after the other.
        """
        with self._lock:
            if self._clock() >= self._check_due:
                self._ask()
            if self._failure is not None:
                raise self._failure.with_traceback(None)
            return self._state

    def invalidate(self) -> None:
        """Check again at the next question: what was there seems to be gone."""
        with self._lock:
            # Many may invalidate it at once; a second check counts only some time after the first.
            if not self._absences:
                self._check_due = float("-inf")

    def _ask(self) -> None:
        try:
            self._state, self._failure = self._check(), None
        except KubeError as error:
            self._failure = error
        if self._state is Keda.UNKNOWN or 0 < self._absences < _BELIEVED_ABSENCES:
            pause = _CONFIRM_SECONDS
        elif self._failure is None and self._state is Keda.READY:
            pause = _PRESENT_SECONDS
        else:
            pause = _MISSING_SECONDS
        self._check_due = self._clock() + pause

    def _check(self) -> Keda:
        state = self._by_schema()
        if state is not None:
            self._absences = 0
            return state
        if self._is_discovered():
            # The schema is late, as after the start of the API server.
            self._absences = 0
            return self._state
        self._absences += 1
        return Keda.MISSING if self._absences >= _BELIEVED_ABSENCES else self._state

    def _by_schema(self) -> Keda | None:
        """Return what the schema says; None where there is none with both kinds."""
        entry = self._kube.read(_INDEX)["paths"].get(_GROUP)
        if entry is None:
            return None
        # The address carries a hash of the document.
        address: str = entry["serverRelativeURL"]
        if self._schema is not None and self._schema[0] == address:
            return self._schema[1]
        try:
            state = _keda_of(self._kube.read(address))
        except NotFoundError:
            return None
        if state is not None:
            self._schema = (address, state)
        return state

    def _is_discovered(self) -> bool:
        try:
            resources = self._kube.read(_DISCOVERY)["resources"]
        except NotFoundError:
            return False
        return {each["kind"] for each in resources} >= _KINDS


def _keda_of(document: dict[str, Any]) -> Keda | None:
    by_kind = {
        each["kind"]: schema
        for schema in document.get("components", {}).get("schemas", {}).values()
        for each in schema.get("x-kubernetes-group-version-kind", ())
    }
    if not by_kind.keys() >= _KINDS:
        return None
    fallback = _property(_property(by_kind["ScaledObject"], "spec"), "fallback")
    return Keda.READY if _property(fallback, "behavior") else Keda.TOO_OLD


def _property(schema: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = schema.get("properties", {}).get(name, {})
    return found

"""Report the state of a service: its status if that changed, and Events for what is new."""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from whisperfleet_operator.cache import ObjectCache
from whisperfleet_operator.kube import AlreadyExistsError, Kube, KubeError, NotFoundError, Object
from whisperfleet_operator.kube.kinds import SERVICE
from whisperfleet_operator.memory import ServiceMemories
from whisperfleet_operator.resource import TranscriptionServiceStatus
from whisperfleet_operator.resource.names import OPERATOR
from whisperfleet_operator.status import ServiceEvent, events_between

__all__ = ["Reporter", "merge_patch"]

_log = logging.getLogger(__name__)

# An Event's own limit.
_MESSAGE_BYTES = 1024
# How often at the most there is an Event about what is seldom told.
_SELDOM_SECONDS = 300
# A status is not written more often, whatever happens: each write wakes everybody who watches.
_BETWEEN_WRITES_SECONDS = 1.0


class Reporter:
    """Writes statuses and Events. `clock` tells the time in UTC; `monotonic` only goes forward."""

    def __init__(
        self,
        kube: Kube,
        cache: ObjectCache,
        memories: ServiceMemories,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kube = kube
        self._cache = cache
        self._memories = memories
        self._clock = clock
        self._monotonic = monotonic

    def report(
        self,
        resource: Object,
        before: TranscriptionServiceStatus,
        after: TranscriptionServiceStatus,
    ) -> float:
        """Write `after` where it differs from what `resource` carries, and tell what is new.

        Return 0, or in how many seconds to come again where the last write was a moment ago. Raises
        KubeError.
        """
        metadata = resource["metadata"]
        key = metadata["namespace"], metadata["name"]
        memory = self._memories.of(key)
        memory.status = after
        patch = merge_patch(resource.get("status") or {}, after.to_object())
        if patch:
            now = self._monotonic()
            wait = memory.status_written_at + _BETWEEN_WRITES_SECONDS - now
            if wait > 0:
                # What is to be told is told with the write.
                return wait
            memory.status_written_at = now
            try:
                resource = self._kube.patch_status(SERVICE, *key, patch)
            except NotFoundError:
                self._cache.invalidate(resource)
                raise
            self._cache.saw(resource)
        # After the write: an Event told twice is worse than one that a crash swallows.
        for event in events_between(before, after):
            self._tell(resource, event)
        return 0.0

    def leave_to(self, resource: Object, other: str, release: str) -> None:
        """Say once that another release looks after a service, and that this one does not."""
        metadata = resource["metadata"]
        memory = self._memories.of((metadata["namespace"], metadata["name"]))
        if memory.left_to == (metadata["uid"], other):
            return
        memory.left_to = metadata["uid"], other
        message = (
            f"the operator's release {release} leaves this service to the release {other}, which "
            "looks after the namespace too: uninstall one of them, or give each its own "
            "watchNamespaces"
        )
        self._tell(resource, ServiceEvent("AnotherOperator", message, warning=True, seldom=True))

    def _tell(self, resource: Object, event: ServiceEvent) -> None:
        metadata = resource["metadata"]
        try:
            self._kube.create(_event(resource, event, self._clock()), OPERATOR)
        except AlreadyExistsError:
            # Told a moment ago, by whichever operator.
            return
        except KubeError as error:
            _log.warning("an Event could not be posted: %s", error)
        log = _log.warning if event.warning else _log.info
        log(
            "%s",
            event.message,
            extra={
                "namespace": metadata["namespace"],
                "service": metadata["name"],
                "reason": event.reason,
            },
        )


def merge_patch(before: Object, after: Object) -> Object:
    """Return the JSON merge patch (RFC 7386) from one object to the other; empty if they agree."""
    patch: dict[str, Any] = dict.fromkeys(before.keys() - after.keys())
    for field, value in after.items():
        old = before.get(field)
        if isinstance(value, dict) and isinstance(old, dict):
            if nested := merge_patch(old, value):
                patch[field] = nested
        elif value != old:
            patch[field] = value
    return patch


def _event(resource: Object, event: ServiceEvent, now: datetime) -> Object:
    metadata = resource["metadata"]
    moment = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{metadata['name']}.{_distinction(metadata['uid'], event, now)}",
            "namespace": metadata["namespace"],
        },
        "involvedObject": {
            "apiVersion": resource["apiVersion"],
            "kind": resource["kind"],
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
        },
        "type": "Warning" if event.warning else "Normal",
        "reason": event.reason,
        "message": event.message.encode()[:_MESSAGE_BYTES].decode("utf-8", "ignore"),
        "source": {"component": OPERATOR},
        "reportingComponent": OPERATOR,
        "reportingInstance": OPERATOR,
        "count": 1,
        "firstTimestamp": moment,
        "lastTimestamp": moment,
    }


def _distinction(uid: str, event: ServiceEvent, now: datetime) -> str:
    """Return what tells an Event's name from those of the service's others."""
    if not event.seldom:
        # As client-go names them.
        return f"{int(now.timestamp() * 1e9):x}"
    # The same for some minutes, so that the API server refuses the second one.
    period = int(now.timestamp()) // _SELDOM_SECONDS
    return f"{event.reason.lower()}-{uid[:8]}-{period:x}"

"""Say how a service is: its status if that changed, and Events for what a person would be told."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from whisperfleet_operator.cache import ObjectCache
from whisperfleet_operator.census import Census
from whisperfleet_operator.kube import AlreadyExistsError, Kube, KubeError, NotFoundError, Object
from whisperfleet_operator.kube.kinds import SERVICE
from whisperfleet_operator.resource import TranscriptionServiceStatus
from whisperfleet_operator.resource.names import OPERATOR
from whisperfleet_operator.status import Announcement, announcements

__all__ = ["Reporter", "merge_patch"]

_log = logging.getLogger(__name__)

# An Event's own limit.
_MESSAGE_BYTES = 1024
# How often at the most there is an Event about what is seldom told.
_SELDOM_SECONDS = 300


class Reporter:
    """Writes statuses and Events. `clock` tells the time in UTC."""

    def __init__(
        self,
        kube: Kube,
        cache: ObjectCache,
        census: Census,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._kube = kube
        self._cache = cache
        self._census = census
        self._clock = clock

    def report(
        self,
        resource: Object,
        before: TranscriptionServiceStatus,
        after: TranscriptionServiceStatus,
    ) -> Object:
        """Write `after` where it differs from what `resource` carries, and tell what is new.

        Return the resource as it is then. Raises KubeError.
        """
        metadata = resource["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        self._census.saw((namespace, name), after)
        patch = merge_patch(resource.get("status") or {}, after.to_object())
        if patch:
            try:
                resource = self._kube.patch_status(SERVICE, namespace, name, patch)
            except NotFoundError:
                self._cache.doubt(resource)
                raise
            self._cache.saw(resource)
        # After the write: an Event told twice is worse than one that a crash swallows.
        for announcement in announcements(before, after):
            self._tell(resource, announcement)
        return resource

    def _tell(self, resource: Object, announcement: Announcement) -> None:
        metadata = resource["metadata"]
        try:
            self._kube.create(_event(resource, announcement, self._clock()), OPERATOR)
        except AlreadyExistsError:
            # Told a moment ago, by whichever operator.
            return
        except KubeError as error:
            _log.warning("an Event could not be posted: %s", error)
        log = _log.warning if announcement.warning else _log.info
        log(
            "%s",
            announcement.message,
            extra={
                "namespace": metadata["namespace"],
                "service": metadata["name"],
                "reason": announcement.reason,
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


def _event(resource: Object, announcement: Announcement, now: datetime) -> Object:
    metadata = resource["metadata"]
    moment = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{metadata['name']}.{_distinction(metadata['uid'], announcement, now)}",
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
        "type": "Warning" if announcement.warning else "Normal",
        "reason": announcement.reason,
        "message": announcement.message.encode()[:_MESSAGE_BYTES].decode("utf-8", "ignore"),
        "source": {"component": OPERATOR},
        "reportingComponent": OPERATOR,
        "reportingInstance": OPERATOR,
        "count": 1,
        "firstTimestamp": moment,
        "lastTimestamp": moment,
    }


def _distinction(uid: str, announcement: Announcement, now: datetime) -> str:
    """Return what tells an Event's name from those of the service's others."""
    if not announcement.seldom:
        # As client-go names them.
        return f"{int(now.timestamp() * 1e9):x}"
    # The same for some minutes, so that the API server refuses the second one.
    period = int(now.timestamp()) // _SELDOM_SECONDS
    return f"{announcement.reason.lower()}-{uid[:8]}-{period:x}"

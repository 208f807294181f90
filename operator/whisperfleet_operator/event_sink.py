"""From what kopf's watches tell to the cache and the work queue."""

from collections.abc import Iterable, Mapping
from typing import Any

import kopf

from whisperfleet_operator.cache import ObjectCache
from whisperfleet_operator.kube import Kind
from whisperfleet_operator.resource.names import children_selector
from whisperfleet_operator.work_queue import WorkQueue

__all__ = ["EventSink"]


class EventSink:
    """The one place where events come in. kopf calls it from its event loop; nothing here waits."""

    def __init__(self, cache: ObjectCache, queue: WorkQueue, labelled: Iterable[Kind]) -> None:
        self._cache = cache
        self._queue = queue
        self._labelled = tuple(labelled)

    def configure(self, settings: kopf.OperatorSettings) -> None:
        """Make kopf ask for no more than it may see, and write to no object."""
        # Its list of every CRD and namespace of the cluster costs rights and memory.
        settings.scanning.disabled = True
        settings.posting.enabled = False
        for kind in self._labelled:
            # At the server: what is not ours does not even come over the wire.
            settings.watching.label_selectors[kind.plural] = children_selector()

    def service(self, event: Mapping[str, Any]) -> None:
        """Take in an event of a service."""
        self._remember(event)
        metadata = event["object"]["metadata"]
        self._queue.add((metadata["namespace"], metadata["name"]))

    def child(self, event: Mapping[str, Any]) -> None:
        """Take in an event of an object with our labels."""
        self._remember(event)
        if key := self._cache.service_of(event["object"]):
            self._queue.add(key)

    def _remember(self, event: Mapping[str, Any]) -> None:
        if event["type"] == "DELETED":
            self._cache.saw_deleted(event["object"])
        else:
            self._cache.saw(event["object"])

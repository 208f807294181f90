"""The services as metrics: how many are in which condition, and how deep their queues are.

Counted at each scrape from the last status of each service, so that no label outlives its service.
"""

import threading
from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from whisperfleet_operator.resource import TranscriptionServiceStatus
from whisperfleet_operator.work_queue import Key

__all__ = ["Census"]

_DEPTHS = {
    "queued": "Jobs that wait for a worker",
    "running": "Jobs that a worker holds",
    "dead_letters": "Jobs that need a person",
}


class Census(Collector):
    """The last status of each service. For any thread; register it where metrics are served."""

    def __init__(self) -> None:
        self._statuses: dict[Key, TranscriptionServiceStatus] = {}
        self._lock = threading.Lock()

    def saw(self, key: Key, status: TranscriptionServiceStatus) -> None:
        """Take in a service's status."""
        with self._lock:
            self._statuses[key] = status

    def forget(self, key: Key) -> None:
        """Forget a service that is gone."""
        with self._lock:
            self._statuses.pop(key, None)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Return the metrics as they are now."""
        with self._lock:
            statuses = dict(self._statuses)
        yield _conditions(statuses)
        for field, help_text in _DEPTHS.items():
            family = GaugeMetricFamily(
                f"whisperfleet_queue_{field}", help_text, labels=["namespace", "service"]
            )
            for (namespace, name), status in statuses.items():
                depth = getattr(status.queue, field, None)
                if depth is not None:
                    family.add_metric([namespace, name], depth)
            yield family


def _conditions(statuses: dict[Key, TranscriptionServiceStatus]) -> GaugeMetricFamily:
    counts = Counter(
        (str(condition.type), str(condition.status), str(condition.reason))
        for status in statuses.values()
        for condition in status.conditions
    )
    family = GaugeMetricFamily(
        "whisperfleet_operator_services",
        "Services by what a condition of theirs says",
        labels=["condition", "status", "reason"],
    )
    for labels, count in counts.items():
        family.add_metric(labels, count)
    return family

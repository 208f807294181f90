"""The services as metrics: their conditions, the depth of their queues, the state of their pools.

Computed at each scrape from the last status of each service, so no label outlives its service.
"""

from collections import Counter
from collections.abc import Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from whisperfleet_operator.memory import ServiceMemories
from whisperfleet_operator.resource import (
    ConditionStatus,
    ConditionType,
    TranscriptionServiceStatus,
)
from whisperfleet_operator.work_queue import Key

__all__ = ["ServiceMetricsCollector"]

_DEPTHS = {
    "queued": "Jobs that wait for a worker",
    "running": "Jobs that a worker holds",
    "dead_letters": "Jobs that need a person",
}
_OF_SERVICE = ("namespace", "service")

_Statuses = Mapping[Key, TranscriptionServiceStatus]


class ServiceMetricsCollector(Collector):
    """Metrics of the last status of each service. Register it where metrics are served."""

    def __init__(self, memories: ServiceMemories) -> None:
        self._memories = memories

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Return the metrics as they are now."""
        statuses = self._memories.statuses()
        yield _conditions(statuses)
        for field, help_text in _DEPTHS.items():
            family = GaugeMetricFamily(f"whisperfleet_queue_{field}", help_text, labels=_OF_SERVICE)
            for key, status in statuses.items():
                depth = getattr(status.queue, field, None)
                if depth is not None:
                    family.add_metric(key, depth)
            yield family
        yield _oldest(statuses)
        yield _replicas(statuses)
        yield _reasons(statuses)
        yield _autoscalers(statuses)


def _oldest(statuses: _Statuses) -> GaugeMetricFamily:
    family = GaugeMetricFamily(
        "whisperfleet_queue_oldest_timestamp_seconds",
        "When the oldest job that waits was sent, in Unix seconds; nothing where none does",
        labels=_OF_SERVICE,
    )
    for key, status in statuses.items():
        if status.queue is not None and status.queue.oldest_enqueue_time is not None:
            family.add_metric(key, status.queue.oldest_enqueue_time.timestamp())
    return family


def _replicas(statuses: _Statuses) -> GaugeMetricFamily:
    family = GaugeMetricFamily(
        "whisperfleet_pool_replicas",
        "Pods that the autoscaler asks for (desired), and those that work (ready)",
        labels=[*_OF_SERVICE, "pool", "state"],
    )
    for key, status in statuses.items():
        for pool in status.pools:
            family.add_metric([*key, pool.name, "desired"], pool.desired)
            family.add_metric([*key, pool.name, "ready"], pool.ready)
    return family


def _reasons(statuses: _Statuses) -> GaugeMetricFamily:
    family = GaugeMetricFamily(
        "whisperfleet_pool_reason",
        "1 beside the reason that says what a pool does or waits for",
        labels=[*_OF_SERVICE, "pool", "reason"],
    )
    for key, status in statuses.items():
        for pool in status.pools:
            if pool.reason is not None:
                family.add_metric([*key, pool.name, str(pool.reason)], 1)
    return family


def _autoscalers(statuses: _Statuses) -> GaugeMetricFamily:
    # Not among the pools' reasons: a pod that is on its way hides there who did not ask for it.
    family = GaugeMetricFamily(
        "whisperfleet_service_autoscaler",
        "1 beside the reason why a service's autoscaler fails; nothing where it does not",
        labels=[*_OF_SERVICE, "reason"],
    )
    for key, status in statuses.items():
        for condition in status.conditions:
            fails = condition.status is ConditionStatus.FALSE
            if condition.type is ConditionType.AUTOSCALER_READY and fails:
                family.add_metric([*key, str(condition.reason)], 1)
    return family


def _conditions(statuses: _Statuses) -> GaugeMetricFamily:
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

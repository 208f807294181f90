"""The operator's own metrics. No label holds anything that a producer wrote."""

from prometheus_client import Counter, Gauge, Histogram

__all__ = [
    "api_calls",
    "reconcile_seconds",
    "reconciles",
    "work_queue_depth",
]

reconciles = Counter("whisperfleet_operator_reconciles", "Reconciles by how they ended", ["result"])
reconcile_seconds = Histogram(
    "whisperfleet_operator_reconcile_seconds",
    "Wall-clock seconds of a reconcile",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
work_queue_depth = Gauge(
    "whisperfleet_operator_work_queue_depth", "Services that are due and not yet reconciled"
)
api_calls = Counter(
    "whisperfleet_operator_api_calls", "Calls to the Kubernetes API", ["verb", "status"]
)

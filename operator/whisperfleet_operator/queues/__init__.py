"""The operator's look at the queues: reachable, ours, durable, how deep. Every look is bounded."""

from whisperfleet_operator.queues.circuit_breaker import CircuitBreaker, CircuitOpenError
from whisperfleet_operator.queues.probe import QueueAddress, QueueProbe, QueueProblemError, Sample

__all__ = [
    "CircuitBreaker",
    "CircuitOpenError",
    "QueueAddress",
    "QueueProbe",
    "QueueProblemError",
    "Sample",
]

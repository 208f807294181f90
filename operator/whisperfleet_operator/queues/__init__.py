"""The operator's look at the queues: reachable, ours, durable, how deep. Every look is bounded."""

from whisperfleet_operator.queues.gate import Gate, NotNowError
from whisperfleet_operator.queues.probe import QueueAddress, QueueProbe, QueueProblemError, Sample

__all__ = ["Gate", "NotNowError", "QueueAddress", "QueueProbe", "QueueProblemError", "Sample"]

"""The queue of a service: who asks, with which credentials, and how often."""

import time
from collections.abc import Callable

from whisperfleet_operator.memory import LastSample, ServiceMemory
from whisperfleet_operator.observe.observation import Problem
from whisperfleet_operator.observe.secrets import Secrets
from whisperfleet_operator.plan.needs import CA_KEY, PASSWORD_KEY, USERNAME_KEY
from whisperfleet_operator.queues import (
    CircuitOpenError,
    QueueAddress,
    QueueProbe,
    QueueProblemError,
    Sample,
)
from whisperfleet_operator.resource import TranscriptionService

__all__ = ["QueueReader", "queue_address"]

# A service is also reconciled for each change of a child; its queue need not be read each time.
_FRESH_SECONDS = 3.0


class QueueReader:
    """Measures the queues of services; for any thread."""

    def __init__(
        self, probe: QueueProbe, cluster_id: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._probe = probe
        self._cluster_id = cluster_id
        self._clock = clock

    def read(
        self, memory: ServiceMemory, service: TranscriptionService, secrets: Secrets
    ) -> tuple[Sample | None, Problem | None]:
        """Return a sample or a problem; neither while it is not known whether the server lives.

        While another thread waits for a server that hesitates, the sample is the last one.
        """
        if secrets.problems:
            return None, secrets.problems[0]
        address = queue_address(service, secrets)
        last = memory.queue if memory.queue and memory.queue.address == address else None
        if last is not None and self._clock() - last.at < _FRESH_SECONDS:
            return last.sample, None
        owner = f"{self._cluster_id}/{service.namespace}/{service.name}"
        try:
            sample = self._probe.sample(address, owner)
        except CircuitOpenError:
            return (last.sample if last is not None else None), None
        except QueueProblemError as error:
            return None, Problem(error.reason, str(error))
        memory.queue = LastSample(address, self._clock(), sample)
        return sample, None


def queue_address(service: TranscriptionService, secrets: Secrets) -> QueueAddress:
    """Return where the service's queue is, and the credentials for it."""
    redis = service.spec.queue.redis
    name = redis.credentials.secret_name if redis.credentials else ""
    authority = redis.tls.ca_secret_name if redis.tls else ""
    return QueueAddress(
        url=service.redis.url,
        queue_id=service.keys.queue_id,
        streams=tuple(stream.key for stream in service.streams),
        lease_seconds=service.spec.queue.lease_seconds,
        username=secrets.value(name, USERNAME_KEY),
        password=secrets.value(name, PASSWORD_KEY),
        ca=secrets.value(authority, CA_KEY),
    )

"""What a worker and an operator really serve to Prometheus."""

from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from support.alerts.promtool import promtool
from support.alerts.scrapes import Served, read
from support.audio.files import clips
from support.workers import running_worker
from whisperfleet.client import Client
from whisperfleet.contract.job import Job
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet_operator import metrics
from whisperfleet_operator.memory import ServiceMemories
from whisperfleet_operator.resource import (
    Condition,
    ConditionStatus,
    ConditionType,
    Reason,
    TranscriptionServiceStatus,
)
from whisperfleet_operator.resource.status import PoolStatus, QueueStatus
from whisperfleet_operator.service_metrics import ServiceMetricsCollector

__all__ = ["promtool"]


@pytest.fixture(scope="session")
def of_worker(any_server: EmbeddedServer) -> dict[str, Served]:
    """What a worker serves after a job that went well and one that did not."""
    queue_id = "test.alerts"
    client = Client(any_server.settings, queue_id)
    with client, running_worker(any_server, queue_id) as worker:
        jobs = [Job(audio=clips()[0][0]), Job(audio=b"I am a letter, not a song.")]
        ended = dict(client.wait([client.submit(job) for job in jobs], timeout_seconds=60))
        assert len(ended) == 2
        return read(worker.get("/metrics")[1])


@pytest.fixture(scope="session")
def of_operator() -> dict[str, Served]:
    """What an operator serves that takes care of a service."""
    registry = CollectorRegistry()
    for name in metrics.__all__:
        registry.register(getattr(metrics, name))
    memories = ServiceMemories()
    registry.register(ServiceMetricsCollector(memories))
    now = datetime.now(UTC)
    held_back = Condition(
        type=ConditionType.AUTOSCALER_READY,
        status=ConditionStatus.FALSE,
        reason=Reason.AUTOSCALER_HOLDS_BACK,
        message="The autoscaler has added none.",
        last_transition_time=now,
        observed_generation=1,
    )
    memories.of(("team-a", "calls")).status = TranscriptionServiceStatus(
        conditions=(held_back,),
        queue=QueueStatus(queued=2, running=1, dead_letters=0, oldest_enqueue_time=now),
        pools=(PoolStatus(name="main", desired=2, ready=1, reason=Reason.SERVING),),
    )
    return read(generate_latest(registry).decode())


@pytest.fixture(scope="session")
def served(of_worker: dict[str, Served], of_operator: dict[str, Served]) -> set[str]:
    """Every name that a query may use."""
    return {
        each
        for metrics_of in (of_worker, of_operator)
        for name, metric in metrics_of.items()
        for each in metric.names(name)
    }

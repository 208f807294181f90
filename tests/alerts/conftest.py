"""What a worker and an operator really serve to Prometheus, and Prometheus's own judge of rules."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from audio_files import clips
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
from workers import running_worker

_HELP_OR_TYPE = re.compile(r"^# (HELP|TYPE) (whisperfleet_\w+) (.*)$", re.MULTILINE)
_LABELS = re.compile(r"^(whisperfleet_\w+)\{(.*)\} ", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="')
_OF_HISTOGRAMS = ("_bucket", "_sum", "_count")


Promtool = Callable[..., str]


@dataclass(frozen=True)
class Served:
    """A metric as it is served; `labels` is empty, too, where nothing has been counted yet."""

    type: str
    help: str
    labels: frozenset[str]

    def names(self, name: str) -> list[str]:
        """Return what a query may call it."""
        return [name + end for end in _OF_HISTOGRAMS] if self.type == "histogram" else [name]


def read(text: str) -> dict[str, Served]:
    """Return the project's metrics of a scrape by name."""
    said = {(kind, name): rest for kind, name, rest in _HELP_OR_TYPE.findall(text)}
    labels: dict[str, set[str]] = {}
    for sample, pairs in _LABELS.findall(text):
        labels.setdefault(sample, set()).update(_LABEL.findall(pairs))
    found = {}
    for kind, name in said:
        # When a counter began is a metric of its own to the format, and nobody's to a reader.
        if kind == "TYPE" and not name.endswith("_created"):
            metric = Served(said["TYPE", name], said["HELP", name], frozenset())
            own = set().union(*(labels.get(each, set()) for each in metric.names(name)))
            found[name] = Served(metric.type, metric.help, frozenset(own - {"le"}))
    return found


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


@pytest.fixture(scope="session")
def promtool() -> Promtool:
    """Call it with arguments; it returns what promtool says, which has to be content."""
    program = shutil.which("promtool")
    if program is None:
        if os.environ.get("REQUIRE_PROMTOOL") == "1":
            pytest.fail("REQUIRE_PROMTOOL=1, but promtool is not on the PATH")
        pytest.skip("promtool is not on the PATH: install Debian's package prometheus")

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [program, *arguments], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run

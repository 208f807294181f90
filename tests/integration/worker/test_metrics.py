"""What a worker on a GPU says of it, with a driver that is not there."""

import re
from collections.abc import Iterator

import pytest
from prometheus_client import generate_latest

from support.audio.files import clips
from support.workers import Worker, running_worker
from whisperfleet.client import Client
from whisperfleet.contract.codes import Code
from whisperfleet.contract.job import Job
from whisperfleet.contract.states import TERMINAL
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.engine import DeviceMemory
from whisperfleet.worker import metrics

NAME = "whisperfleet_gpu_memory_bytes"

_ENDED = re.compile(r'^whisperfleet_jobs_total\{code="(\w*)",state="(\w+)"\} (\S+)$', re.MULTILINE)


@pytest.fixture(autouse=True)
def _without_gpu_afterwards() -> Iterator[None]:
    yield
    metrics.gpu_memory_bytes.clear()


def shown() -> list[str]:
    lines = generate_latest().decode().splitlines()
    return [line for line in lines if line.startswith(NAME)]


def test_jobs_are_counted_from_zero_whatever_becomes_of_them(
    any_server: EmbeddedServer, queue_id: str
):
    with (
        running_worker(any_server, queue_id) as worker,
        Client(any_server.settings, queue_id) as client,
    ):
        before = ended(worker)
        assert set(before.values()) == {0}
        assert {state for _, state in before} == TERMINAL
        assert {code for code, _ in before} == {"", *Code}
        jobs = [
            Job(audio=clips()[0][0]),
            Job(audio=b"I am a letter, not a song."),
            Job(url="http://example.org/clip.ogg"),
        ]
        assert len(dict(client.wait(map(client.submit, jobs), timeout_seconds=60))) == len(jobs)
        client.cancel("early")
        assert dict(client.wait([client.submit(Job(id="early", audio=b"x"))], timeout_seconds=60))
        after = ended(worker)
    assert after.keys() == before.keys()
    assert sum(after.values()) >= len(jobs)


def ended(worker: Worker) -> dict[tuple[str, str], float]:
    """Return how many jobs ended, by code and state."""
    found = _ENDED.findall(worker.get("/metrics")[1])
    return {(code, state): float(count) for code, state, count in found}


def test_without_a_gpu_there_is_a_name_and_no_figure():
    assert shown() == []
    assert f"# TYPE {NAME} gauge" in generate_latest().decode()


def test_the_memory_is_read_at_each_scrape():
    free = iter([4, 4, 1, 1])
    metrics.watch_gpu_memory(lambda: DeviceMemory(free=next(free), total=16))
    assert shown() == [f'{NAME}{{state="used"}} 12.0', f'{NAME}{{state="free"}} 4.0']
    assert shown() == [f'{NAME}{{state="used"}} 15.0', f'{NAME}{{state="free"}} 1.0']


def test_a_gpu_that_failed_leaves_the_other_figures():
    def fail() -> DeviceMemory:
        raise OSError("cuInit of the CUDA driver answered 999")

    metrics.watch_gpu_memory(fail)
    assert shown() == [f'{NAME}{{state="used"}} NaN', f'{NAME}{{state="free"}} NaN']
    assert "whisperfleet_jobs_in_flight" in generate_latest().decode()

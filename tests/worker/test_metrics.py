"""What a worker on a GPU says of it, with a driver that is not there."""

from collections.abc import Iterator

import pytest
from prometheus_client import generate_latest

from whisperfleet.engine.capacity import GpuMemory
from whisperfleet.worker import metrics

NAME = "whisperfleet_gpu_memory_bytes"


@pytest.fixture(autouse=True)
def _without_gpu_afterwards() -> Iterator[None]:
    yield
    metrics.gpu_memory_bytes.clear()


def shown() -> list[str]:
    lines = generate_latest().decode().splitlines()
    return [line for line in lines if line.startswith(NAME)]


def test_without_a_gpu_there_is_a_name_and_no_figure():
    assert shown() == []
    assert f"# TYPE {NAME} gauge" in generate_latest().decode()


def test_the_memory_is_read_at_each_scrape(monkeypatch: pytest.MonkeyPatch):
    free = iter([4, 4, 1, 1])
    monkeypatch.setattr(metrics, "gpu_memory", lambda: GpuMemory(free=next(free), total=16))
    metrics.watch_gpu_memory()
    assert shown() == [f'{NAME}{{state="used"}} 12.0', f'{NAME}{{state="free"}} 4.0']
    assert shown() == [f'{NAME}{{state="used"}} 15.0', f'{NAME}{{state="free"}} 1.0']


def test_a_gpu_that_failed_leaves_the_other_figures(monkeypatch: pytest.MonkeyPatch):
    def fail() -> GpuMemory:
        raise OSError("cuInit of the CUDA driver answered 999")

    monkeypatch.setattr(metrics, "gpu_memory", fail)
    metrics.watch_gpu_memory()
    assert shown() == [f'{NAME}{{state="used"}} NaN', f'{NAME}{{state="free"}} NaN']
    assert "whisperfleet_jobs_in_flight" in generate_latest().decode()

"""The limit of a GPU, against the figures that were computed by hand."""

import subprocess

import pytest

from hack.bench import gpu
from hack.bench.gpu import Gpu, find_gpu, least_seconds


@pytest.mark.parametrize(
    ("name", "batch", "milliseconds"),
    # By hand for a T4: 2.27e12 / 65e12 = 34.9 ms, and 100 * (316 / batch + 30.7) MB at 320 GB/s.
    [("Tesla T4", 1, 143.3), ("Tesla T4", 16, 50.7), ("NVIDIA H200", 32, 3.14)],
)
def test_the_least_time_of_a_window(monkeypatch, name: str, batch: int, milliseconds: float):
    found = found_as(monkeypatch, name)
    assert isinstance(found, Gpu)
    assert 1000 * least_seconds(found, 100, batch) == pytest.approx(milliseconds, rel=0.01)


@pytest.mark.parametrize("name", ["NVIDIA A10G", "NVIDIA A100-SXM4-80GB", "NVIDIA H100 PCIe"])
def test_names_of_data_centre_gpus_are_known(monkeypatch, name: str):
    assert isinstance(found_as(monkeypatch, name), Gpu)


def test_a_gpu_that_is_not_known_is_named(monkeypatch):
    assert found_as(monkeypatch, "NVIDIA B9000").startswith("not run: the limit of NVIDIA B9000")


def test_a_machine_without_one_says_so(monkeypatch):
    def fail(*_, **__):
        raise FileNotFoundError("nvidia-smi")

    monkeypatch.setattr(gpu.subprocess, "run", fail)
    assert find_gpu() == "not run: this machine has no NVIDIA GPU"


def found_as(monkeypatch, name: str):
    answer = subprocess.CompletedProcess([], 0, stdout=f"{name}\n")
    monkeypatch.setattr(gpu.subprocess, "run", lambda *_, **__: answer)
    return find_gpu()

"""The limits of a GPU, against the figures that were computed by hand."""

import subprocess

import pytest

from hack.bench import gpu
from hack.bench.gpu import ATTAINABLE, DATA_SHEET, Gpu, find_gpu, seconds_per_window


@pytest.mark.parametrize(
    ("name", "batch", "milliseconds"),
    # For a T4: 2.31e12 / 65e12 = 35.5 ms, and 100 * (316 / batch + 30.7 + 1.0) MB at 320 GB/s.
    [("Tesla T4", 1, 144.2), ("Tesla T4", 16, 51.6), ("NVIDIA H200", 32, 3.20)],
)
def test_the_bound_of_the_data_sheet(monkeypatch, name: str, batch: int, milliseconds: float):
    seconds = seconds_per_window(found_as(monkeypatch, name), DATA_SHEET, batch, 1, 100)
    assert seconds is not None
    assert 1000 * seconds == pytest.approx(milliseconds, rel=0.005)


@pytest.mark.parametrize(
    ("name", "batch", "times_real_time"),
    # The estimates that batching was planned by: windows of 30 s, greedy, 100 tokens.
    [
        *(("Tesla T4", 1, 97), ("Tesla T4", 16, 171), ("Tesla T4", 32, 175)),
        *(("NVIDIA L4", 1, 109), ("NVIDIA L4", 16, 225), ("NVIDIA L4", 32, 233)),
        *(("NVIDIA A10G", 1, 135), ("NVIDIA A10G", 16, 224), ("NVIDIA A10G", 32, 228)),
        *(("NVIDIA H200", 1, 272), ("NVIDIA H200", 16, 1834), ("NVIDIA H200", 32, 2267)),
    ],
)
def test_what_can_be_reached(monkeypatch, name: str, batch: int, times_real_time: int):
    seconds = seconds_per_window(found_as(monkeypatch, name), ATTAINABLE, batch, 1, 100)
    assert seconds is not None
    assert 30 / seconds == pytest.approx(times_real_time, rel=0.005)


def test_hypotheses_and_tokens_cost_time(monkeypatch):
    t4 = found_as(monkeypatch, "Tesla T4")
    greedy, beams, longer = (
        seconds_per_window(t4, ATTAINABLE, 16, beam, tokens)
        for beam, tokens in ((1, 100), (5, 100), (5, 112))
    )
    assert greedy < beams < longer


@pytest.mark.parametrize(
    ("name", "tera_flop", "gigabytes"),
    [
        ("Tesla T4", 65, 320),
        ("NVIDIA A10", 125, 600),
        ("NVIDIA A10G", 70, 600),
        ("NVIDIA A100-PCIE-40GB", 312, 1555),
        ("NVIDIA A100-SXM4-40GB", 312, 1555),
        ("NVIDIA A100 80GB PCIe", 312, 1935),
        ("NVIDIA A100-SXM4-80GB", 312, 2039),
        ("NVIDIA H100 80GB HBM3", 989, 3350),
        ("NVIDIA H100 PCIe", 756, 2000),
        ("NVIDIA H100 NVL", 835, 3900),
        ("NVIDIA H200", 989, 4800),
        ("NVIDIA H200 NVL", 835, 4800),
    ],
)
def test_data_sheets_by_name(monkeypatch, name: str, tera_flop: int, gigabytes: int):
    assert found_as(monkeypatch, name) == Gpu(name, tera_flop * 1e12, gigabytes * 1e9)


def test_a_gpu_that_is_not_known_has_no_limit(monkeypatch):
    found = found_as(monkeypatch, "NVIDIA B9000")
    assert found == Gpu("NVIDIA B9000")
    assert seconds_per_window(found, ATTAINABLE, 16, 5, 112) is None


def test_a_machine_without_one_says_so(monkeypatch):
    def fail(*_, **__):
        raise FileNotFoundError("nvidia-smi")

    monkeypatch.setattr(gpu.subprocess, "run", fail)
    assert find_gpu() == "not run: this machine has no NVIDIA GPU"


def found_as(monkeypatch, name: str):
    answer = subprocess.CompletedProcess([], 0, stdout=f"{name}\n")
    monkeypatch.setattr(gpu.subprocess, "run", lambda *_, **__: answer)
    return find_gpu()

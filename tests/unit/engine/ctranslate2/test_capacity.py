"""How many windows a device takes."""

import pytest

from whisperfleet.engine import DeviceMemory
from whisperfleet.engine.ctranslate2 import capacity
from whisperfleet.engine.ctranslate2.capacity import (
    CPU_BATCH,
    MAX_BATCH,
    choose_batch_size,
    gpu_memory,
    windows_that_fit,
)


@pytest.mark.parametrize(
    ("gigabytes", "windows"),
    # What is free once large-v3-turbo is loaded: a full GPU, a slice of one, a T4, an H200.
    [(0.5, 1), (1.3, 1), (3.0, 9), (13.0, MAX_BATCH), (138.0, MAX_BATCH)],
)
def test_free_memory_decides(gigabytes: float, windows: int):
    assert windows_that_fit(int(gigabytes * 1e9)) == windows


def test_a_cpu_has_a_number_of_its_own():
    assert choose_batch_size("cpu") == CPU_BATCH


class Driver:
    """libcuda with 3 of 16 GB free on its first device, until a call is to fail."""

    def __init__(self, failing: str = "") -> None:
        self.failing = failing
        self.called: list[str] = []

    def __getattr__(self, name: str):
        def call(*arguments) -> int:
            self.called.append(name)
            if name == self.failing:
                return 999
            if name == "cuMemGetInfo_v2":
                arguments[0]._obj.value = 3_000_000_000
                arguments[1]._obj.value = 16_000_000_000
            return 0

        return call


def test_the_driver_is_asked_in_the_models_own_context(monkeypatch: pytest.MonkeyPatch):
    driver = Driver()
    monkeypatch.setattr(capacity.ctypes, "CDLL", lambda _: driver)
    assert gpu_memory() == DeviceMemory(free=3_000_000_000, total=16_000_000_000)
    assert driver.called == [
        "cuInit",
        "cuDeviceGet",
        "cuDevicePrimaryCtxRetain",
        "cuCtxPushCurrent_v2",
        "cuMemGetInfo_v2",
        "cuCtxPopCurrent_v2",
        "cuDevicePrimaryCtxRelease_v2",
    ]
    assert choose_batch_size("cuda") == 9


def test_a_driver_that_refuses_lets_go_and_leaves_the_rest_to_halving(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    driver = Driver("cuMemGetInfo_v2")
    monkeypatch.setattr(capacity.ctypes, "CDLL", lambda _: driver)
    assert choose_batch_size("cuda") == MAX_BATCH
    assert driver.called[-2:] == ["cuCtxPopCurrent_v2", "cuDevicePrimaryCtxRelease_v2"]
    assert "cuMemGetInfo_v2 of the CUDA driver answered 999" in caplog.text

import ctranslate2
import pytest

from whisperfleet.engine.ctranslate2 import loading
from whisperfleet.engine.ctranslate2.models import ResolvedModel, digest_model
from whisperfleet.engine.ctranslate2.whisper import WhisperEngine
from whisperfleet.errors import DeviceUnavailableError, ModelUnavailableError

without_gpu = pytest.mark.skipif(
    ctranslate2.get_cuda_device_count() > 0, reason="there is a GPU to load onto"
)


@without_gpu
def test_cuda_without_a_gpu_is_an_error_and_never_the_cpu(micro_model: ResolvedModel):
    with pytest.raises(DeviceUnavailableError, match=r"set to cuda.*nvidia\.com/gpu") as caught:
        WhisperEngine.load(micro_model, "cuda")
    assert caught.value.exit_code == 3


@without_gpu
def test_auto_without_a_gpu_is_the_cpu(micro_model: ResolvedModel):
    engine = WhisperEngine.load(micro_model, "auto", cpu_threads=1)
    engine.warm_up()
    assert engine.device == "cpu"
    assert engine.mels == 80


def test_auto_takes_a_gpu_that_is_there(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(loading.ctranslate2, "get_cuda_device_count", lambda: 1)
    assert loading.choose_device("auto") == loading.choose_device("cuda") == "cuda"


def test_a_driver_that_is_too_old_is_named(monkeypatch: pytest.MonkeyPatch):
    def fail() -> int:
        raise RuntimeError("CUDA driver version is insufficient for CUDA runtime version")

    monkeypatch.setattr(loading.ctranslate2, "get_cuda_device_count", fail)
    assert loading.choose_device("auto") == "cpu"
    with pytest.raises(DeviceUnavailableError, match="driver version is insufficient"):
        loading.choose_device("cuda")


def test_a_compute_type_that_the_device_lacks_is_a_device_error(micro_model: ResolvedModel):
    with pytest.raises(DeviceUnavailableError, match=r"float16.*compute type to default"):
        WhisperEngine.load(micro_model, "cpu", compute_type="float16")


def test_a_broken_model_is_a_model_error(micro_model: ResolvedModel, tmp_path):
    for file in micro_model.path.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.bin").write_bytes(b"not a model")
    broken = ResolvedModel("broken", tmp_path, digest_model(tmp_path))
    with pytest.raises(ModelUnavailableError, match=r"'broken'.*cannot be loaded") as caught:
        WhisperEngine.load(broken, "cpu")
    assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        ("Library libcublas.so.12 is not found or cannot be loaded", "nvidia-cublas-cu12"),
        ("CUDA failed with error out of memory", "smaller model"),
        ("cuBLAS failed with status CUBLAS_STATUS_ALLOC_FAILED", "smaller model"),
        ("CUDA failed with error unspecified launch failure", "nvidia-smi"),
    ],
)
def test_a_start_failure_names_its_remedy(message: str, remedy: str):
    error = loading.start_failure("cuda", RuntimeError(message))
    assert message in str(error)
    assert remedy in str(error)

"""Put a model onto a device, or say why that cannot be."""

from typing import Literal

import ctranslate2

from whisperfleet.engine.ctranslate2.models import ResolvedModel
from whisperfleet.engine.ctranslate2.words import WordKeepingModel
from whisperfleet.errors import DeviceUnavailableError, ModelUnavailableError, StartupError

__all__ = ["Device", "choose_device", "load_model", "start_failure"]

Device = Literal["auto", "cpu", "cuda"]

# What CTranslate2's messages hold when the device and not the model is at fault.
_DEVICE_FAILURES = ("CUDA", "cuBLAS", "CUBLAS", "libcu", "out of memory", "compute type")


def choose_device(device: Device) -> Literal["cpu", "cuda"]:
    """Return the device to load onto.

    Raises DeviceUnavailableError where `cuda` is asked for and no GPU can be seen.
    """
    if device == "cpu":
        return "cpu"
    try:
        gpus = ctranslate2.get_cuda_device_count()
        reason = "the driver shows no GPU"
    except RuntimeError as error:  # a driver that is older than the CUDA runtime
        gpus = 0
        reason = str(error)
    if gpus > 0:
        return "cuda"
    if device == "auto":
        return "cpu"
    raise DeviceUnavailableError(
        f"the device is set to cuda, but {reason}; request a GPU for the container "
        "(nvidia.com/gpu) and check the driver with nvidia-smi, or set the device to cpu"
    )


def load_model(
    model: ResolvedModel,
    device: Device,
    compute_type: str,
    cpu_threads: int,
    parallel_calls: int = 1,
) -> WordKeepingModel:
    """Return the model, loaded; so many `parallel_calls`, each on so many threads of a CPU.

    Raises DeviceUnavailableError where the device cannot hold or run it, ModelUnavailableError
    where its files are not a Whisper model.
    """
    chosen = choose_device(device)
    try:
        return WordKeepingModel(
            str(model.path),
            device=chosen,
            compute_type=compute_type,
            cpu_threads=cpu_threads,
            num_workers=parallel_calls,
            local_files_only=True,
        )
    # RuntimeError and ValueError come from CTranslate2, a plain Exception from the tokenizer.
    except Exception as error:
        text = str(error)
        if isinstance(error, MemoryError) or any(words in text for words in _DEVICE_FAILURES):
            raise start_failure(chosen, error) from error
        raise ModelUnavailableError(
            f"the model {model.name!r} in {model.path} cannot be loaded: {text}; fetch it "
            "again, or convert it again with the CTranslate2 that is installed here"
        ) from error


def start_failure(device: str, error: BaseException) -> StartupError:
    """Return the error that says why the device cannot run the model, with what to do."""
    text = str(error) or "not enough memory"
    if "libcu" in text or "libnv" in text:
        remedy = "install the CUDA 12 libraries that the message names (nvidia-cublas-cu12)"
    elif "compute type" in text:
        remedy = "set the compute type to default"
    elif "memory" in text or "ALLOC_FAILED" in text:
        remedy = "free its memory, or take a smaller model or an 8-bit compute type"
    else:
        remedy = "check the driver and the GPU's health with nvidia-smi, or set the device to cpu"
    return DeviceUnavailableError(f"the model cannot run on {device}: {text}; {remedy}")

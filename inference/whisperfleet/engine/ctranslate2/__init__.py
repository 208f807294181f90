"""Whisper on CTranslate2, with what faster-whisper knows of features, tokens and words."""

from whisperfleet.engine.ctranslate2.models import resolve_model
from whisperfleet.engine.ctranslate2.whisper import WhisperEngine
from whisperfleet.engine.options import DecodingOptions
from whisperfleet.settings import EngineSettings

__all__ = ["load"]


def load(
    settings: EngineSettings, decoding: DecodingOptions, kind: type[WhisperEngine] = WhisperEngine
) -> WhisperEngine:
    """Return the model that the settings name, loaded onto the device that they ask for.

    `kind` is what runs it. Raises ModelUnavailableError or DeviceUnavailableError.
    """
    return kind.load(
        resolve_model(settings.model),
        device=settings.device,
        compute_type=settings.compute_type,
        cpu_threads=settings.cpu_threads,
        options=decoding,
        batch_size=settings.batch_size,
    )

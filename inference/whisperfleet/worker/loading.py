"""From the settings to an engine that is loaded and warm."""

import json
from dataclasses import asdict
from typing import Any

from whisperfleet import __version__
from whisperfleet.engine import Engine
from whisperfleet.engine.ctranslate2.models import resolve_model
from whisperfleet.engine.ctranslate2.whisper import WhisperEngine
from whisperfleet.worker import metrics
from whisperfleet.worker.parts import LoadedEngine
from whisperfleet.worker.settings import WorkerSettings

__all__ = ["load_engine"]


def load_engine(
    settings: WorkerSettings, kind: type[WhisperEngine] = WhisperEngine
) -> LoadedEngine:
    """Load the model that the settings name, and warm it up; `kind` is what runs it.

    Raises StartupError where the model or the device cannot be had.
    """
    resolved = resolve_model(settings.engine.model)
    engine = kind.load(
        resolved,
        device=settings.engine.device,
        compute_type=settings.engine.compute_type,
        cpu_threads=settings.engine.cpu_threads,
        options=settings.decoding,
        batch_size=settings.engine.batch_size,
    )
    engine.warm_up()
    if _has_memory_of_its_own(engine):
        metrics.watch_gpu_memory(engine.device_memory)
    metrics.model.info({"name": engine.model.name, "digest": engine.model.digest})
    return LoadedEngine(engine, _recipe(settings, engine))


def _has_memory_of_its_own(engine: Engine[Any]) -> bool:
    try:
        return engine.device_memory() is not None
    except OSError:
        return True


def _recipe(settings: WorkerSettings, engine: Engine[Any]) -> str:
    """Return what words depend on beside the audio and the job, always in the same form."""
    return json.dumps(
        {
            "version": __version__,
            "engine": engine.cache_key,
            "segmentation": asdict(settings.segmentation),
        },
        sort_keys=True,
    )

"""From the settings to an engine that is loaded and warm."""

import json
from dataclasses import asdict
from typing import Any

from whisperfleet import __version__
from whisperfleet.engine import Engine
from whisperfleet.engine.registry import EngineLoader
from whisperfleet.engine.registry import load_engine as load_named
from whisperfleet.worker import metrics
from whisperfleet.worker.parts import LoadedEngine
from whisperfleet.worker.settings import WorkerSettings

__all__ = ["load_engine"]


def load_engine(settings: WorkerSettings, load: EngineLoader = load_named) -> LoadedEngine:
    """Load the engine that the settings name with its model, and warm it up.

    Raises ConfigurationError for a name that no engine has, and StartupError where the model or the
    device cannot be had.
    """
    engine = load(settings.engine, settings.decoding)
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

"""From the settings to an engine that is loaded and warm."""

import json
from dataclasses import asdict
from pathlib import Path

from whisperfleet import __version__
from whisperfleet.contract.result import ModelInfo
from whisperfleet.engine.ctranslate2.models import ResolvedModel, resolve_model
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
    if engine.device == "cuda":
        metrics.watch_gpu_memory()
    model = ModelInfo(name=_told_name(resolved), digest=resolved.digest)
    metrics.model.info({"name": model.name, "digest": model.digest})
    return LoadedEngine(engine, model, _recipe(settings, engine, model))


def _told_name(model: ResolvedModel) -> str:
    """Return the name that producers are told: where a model lies is no affair of theirs."""
    from_folder = Path(model.name).expanduser() == model.path
    return model.path.resolve().name if from_folder else model.name


def _recipe(settings: WorkerSettings, engine: WhisperEngine, model: ModelInfo) -> str:
    """Return what words depend on beside the audio and the job, always in the same form."""
    return json.dumps(
        {
            "version": __version__,
            "model": model.digest,
            "compute_type": engine.compute_type,
            "decoding": asdict(settings.decoding),
            "segmentation": asdict(settings.segmentation),
        },
        sort_keys=True,
    )

"""Engines by name: each is the module of its name in `whisperfleet.engine`, and has a `load`."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeAlias, get_args

from whisperfleet.engine.interface import Engine
from whisperfleet.engine.options import DecodingOptions
from whisperfleet.errors import ConfigurationError
from whisperfleet.settings import EngineName, EngineSettings

__all__ = ["EngineLoader", "engine_names", "load_engine"]

EngineLoader: TypeAlias = Callable[[EngineSettings, DecodingOptions], Engine[Any]]


def engine_names() -> tuple[str, ...]:
    """Return the names that the setting `engine` may have."""
    return get_args(EngineName)


def load_engine(settings: EngineSettings, decoding: DecodingOptions) -> Engine[Any]:
    """Return the engine that the settings name, with its model loaded; it is not warm yet.

    Only this engine's libraries are imported. Raises ConfigurationError for a name that no engine
    has, and what the engine's `load` raises: StartupError where there is no such model, or no
    device for it.
    """
    if settings.engine not in engine_names():
        raise ConfigurationError(
            f"there is no engine {settings.engine!r}; choose from {', '.join(engine_names())}"
        )
    load: EngineLoader = import_module(f"whisperfleet.engine.{settings.engine}").load
    return load(settings, decoding)

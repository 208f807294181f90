"""The parts of an installation that a producer's machine may lack."""

from importlib.util import find_spec

from whisperfleet.errors import ConfigurationError

__all__ = ["require_extra"]

# What the extra `worker` of pyproject.toml brings, by the names that are imported.
_WORKER_LIBRARIES = (
    "av",
    "ctranslate2",
    "faster_whisper",
    "numpy",
    "onnxruntime",
    "prometheus_client",
    "tokenizers",
    "urllib3",
)


def require_extra(extra: str) -> None:
    """Check that what a worker needs is installed; `extra` is what would bring it.

    Raises ConfigurationError with the command that installs them.
    """
    missing = [name for name in _WORKER_LIBRARIES if find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"this is an installation for producers, without {', '.join(missing)}; install the "
            f"rest with: pip install 'whisperfleet[{extra}]'"
        )

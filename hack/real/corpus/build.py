"""The parts of the corpus, each built into the cache when it is first wanted."""

import hashlib
from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Final

from hack.cache import cache_folder, make_once
from hack.images.inputs import content_key
from hack.real.corpus.containers import containers
from hack.real.corpus.drafts import Draft
from hack.real.corpus.manifest import Recording, read_manifest, write_manifest
from hack.real.corpus.others import languages, loops, no_speech
from hack.real.corpus.speech import (
    clips,
    files,
    fluent,
    narrow,
    noisy,
    readers,
    telephone,
    two_speakers,
)
from hack.real.corpus.voices import Studio
from hack.real.packages import CACHE

__all__ = [
    "CLIPS",
    "CONTAINERS",
    "LANGUAGES",
    "LOOPS",
    "NARROW",
    "PARTS",
    "Extent",
    "build_part",
    "part_folder",
    "write_part",
]

_ROOT: Final = Path(__file__).resolve().parents[3]
_SOURCES: Final = ("hack/real/corpus", "hack/real/requirements.txt")

CLIPS: Final = "clips"
CONTAINERS: Final = "containers"
LANGUAGES: Final = "languages"
LOOPS: Final = "loops"
NARROW: Final = "narrow"
PARTS: Final[dict[str, Callable[[], list[Draft]]]] = {
    CLIPS: clips,
    "readers": readers,
    "fluent": fluent,
    "noise20": partial(noisy, 20.0),
    "noise10": partial(noisy, 10.0),
    "noise5": partial(noisy, 5.0),
    "telephone": telephone,
    NARROW: narrow,
    "two_speakers": two_speakers,
    CONTAINERS: containers,
    LOOPS: loops,
    "files": files,
    "no_speech": no_speech,
    LANGUAGES: languages,
}


class Extent(StrEnum):
    """How much of a part: all of its files, or the few that stand for it."""

    FULL = "full"
    QUICK = "quick"


def build_part(part: str, extent: Extent = Extent.FULL) -> list[Recording]:
    """Return the recordings of a part, made the first time; none where it has no quick ones.

    Raises GroundError where a speaker cannot be had.
    """
    return read_manifest(make_once(part_folder(part, extent), partial(_fill, part, extent)))


def part_folder(part: str, extent: Extent) -> Path:
    """Return where a part is kept: it changes with every source that the corpus is made by."""
    key = content_key(_ROOT, _SOURCES)
    return cache_folder(CACHE) / f"corpus-{key}" / f"{part}-{extent}"


def write_part(drafts: Sequence[Draft], studio: Studio, folder: Path) -> None:
    """Make the files of some drafts in a folder, with a manifest."""
    write_manifest(folder, [_write(draft, studio, folder) for draft in drafts])


def _fill(part: str, extent: Extent, folder: Path) -> None:
    drafts = [draft for draft in PARTS[part]() if draft.quick or extent is Extent.FULL]
    write_part(drafts, Studio(), folder)


def _write(draft: Draft, studio: Studio, folder: Path) -> Recording:
    take = draft.take(studio)
    path = folder / draft.name
    draft.write(path, take.samples)
    return Recording(
        path=path,
        kind=draft.kind,
        seconds=round(take.seconds, 4),
        language=draft.language,
        quick=draft.quick,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        phrases=take.phrases,
    )

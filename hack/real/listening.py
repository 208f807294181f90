"""Transcripts of a corpus, from the cache where what they depend on has not changed."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from hack.cache import cache_folder
from hack.real.contenders import Contender
from hack.real.corpus.manifest import Recording
from hack.real.heard import Heard
from hack.real.packages import CACHE
from whisperfleet.engine.ctranslate2.models import ResolvedModel

__all__ = ["Hearing", "listen"]

_HEARD: Final = TypeAdapter(Heard)


@dataclass(frozen=True, slots=True)
class Hearing:
    """What a contender heard in each recording, and whether the cache had it."""

    heard: tuple[Heard, ...]
    cached: tuple[bool, ...]


def listen(
    contender: Contender,
    model: ResolvedModel,
    recordings: Sequence[Recording],
    heard_one: Callable[[], None] = lambda: None,
) -> Hearing:
    """Return the transcripts of all recordings; `heard_one` is called after each that was not kept.

    Raises GroundError where a file cannot be recognised.
    """
    kept = [_place(contender, model, one) for one in recordings]
    missing = [
        (one, place)
        for one, place in zip(recordings, kept, strict=True)
        if place is None or not place.is_file()
    ]
    fresh: dict[Path, Heard] = {}
    found = contender.hear(model.path, [one.path for one, _ in missing]) if missing else ()
    for (one, place), heard in zip(missing, found, strict=True):
        fresh[one.path] = heard
        if place is not None:
            _keep(place, heard)
        heard_one()
    return Hearing(
        tuple(
            fresh[one.path] if one.path in fresh or place is None else _read(place)
            for one, place in zip(recordings, kept, strict=True)
        ),
        tuple(one.path not in fresh for one in recordings),
    )


def _place(contender: Contender, model: ResolvedModel, recording: Recording) -> Path | None:
    """Return where a transcript is kept; None where it depends on more than is known."""
    if contender.recipe is None:
        return None
    facts = json.dumps(
        [contender.recipe, model.digest, recording.sha256], sort_keys=True, ensure_ascii=False
    )
    key = hashlib.sha256(facts.encode()).hexdigest()
    return cache_folder(CACHE) / "heard" / key[:2] / f"{key[2:34]}.json"


def _keep(place: Path, heard: Heard) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = place.with_suffix(f".{os.getpid()}")
    aside.write_bytes(_HEARD.dump_json(heard))
    aside.rename(place)


def _read(place: Path) -> Heard:
    return _HEARD.validate_json(place.read_bytes())

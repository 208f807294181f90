"""Recordings whose words are known: a folder of audio files and a manifest of what they say."""

import json
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from whisperfleet.errors import ConfigurationError

__all__ = ["MANIFEST", "Clip", "count_wrong_words", "demo_clips", "read_clips", "words_of"]

MANIFEST = "clips.json"


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording, what was said in it, and when: `phrases` are (start, end) in seconds."""

    path: Path
    kind: str
    seconds: float
    words: tuple[str, ...]
    phrases: tuple[tuple[float, float], ...]
    voice: str | None

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self.path.stem


def demo_clips() -> list[Clip]:
    """Return the clips of the package. Raises ConfigurationError where they are gone."""
    # Wheels are unpacked, so the package data is a real directory that outlives the context.
    with as_file(files("whisperfleet").joinpath("demo", "data", "clips")) as folder:
        return read_clips(folder)


def read_clips(folder: Path) -> list[Clip]:
    """Return the clips that a folder's manifest names, in its order.

    Raises ConfigurationError where the folder has no manifest that can be read.
    """
    try:
        entries = json.loads((folder / MANIFEST).read_text("utf-8"))
        return [_clip(folder, entry) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"{folder / MANIFEST} cannot be read as a list of clips ({error!r}); name a folder of "
            "recordings with such a list, or reinstall whisperfleet where it is the demo's own"
        ) from error


def words_of(text: str) -> list[str]:
    """Return the words of a transcript without case and punctuation."""
    kept = "".join(c if c.isalnum() or c == "'" else " " for c in text.casefold())
    return kept.split()


def count_wrong_words(said: list[str] | tuple[str, ...], heard: list[str]) -> int:
    """Return how many words must be changed, left out or added: Levenshtein's distance."""
    distances = list(range(len(heard) + 1))
    for i, expected in enumerate(said, start=1):
        diagonal, distances[0] = distances[0], i
        for j, found in enumerate(heard, start=1):
            substituted = diagonal + (expected != found)
            diagonal = distances[j]
            distances[j] = min(substituted, distances[j] + 1, distances[j - 1] + 1)
    return distances[-1]


def _clip(folder: Path, entry: dict[str, Any]) -> Clip:
    return Clip(
        path=folder / entry["file"],
        kind=entry["kind"],
        seconds=float(entry["seconds"]),
        words=tuple(entry["words"]),
        phrases=tuple((s["start"], s["end"]) for s in entry["segments"]),
        voice=entry.get("voice"),
    )

"""What a folder of the corpus holds, in the form that `hack.evaluation` reads as well."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hack.real.corpus.compose import Phrase
from whisperfleet.demo.clips import MANIFEST, words_of

__all__ = ["Recording", "read_manifest", "write_manifest"]


@dataclass(frozen=True, slots=True)
class Recording:
    """A file, and what was said in it by whom, in what language, and when.

    `sha256` is the file's, `language` None where nobody speaks.
    """

    path: Path
    kind: str
    seconds: float
    language: str | None
    quick: bool
    sha256: str
    phrases: tuple[Phrase, ...]

    @property
    def text(self) -> str:
        """All that was said, in order of time."""
        return " ".join(phrase.text for phrase in self.phrases)


def read_manifest(folder: Path) -> list[Recording]:
    """Return the recordings of a folder, in the order of its manifest."""
    return [_recording(folder, one) for one in json.loads((folder / MANIFEST).read_text("utf-8"))]


def write_manifest(folder: Path, recordings: list[Recording]) -> None:
    """Write the manifest of a folder."""
    rows = ",\n".join(json.dumps(_entry(one), ensure_ascii=False) for one in recordings)
    (folder / MANIFEST).write_text(f"[\n{rows}\n]\n", "utf-8")


def _entry(one: Recording) -> dict[str, Any]:
    return {
        "file": one.path.name,
        "kind": one.kind,
        "seconds": one.seconds,
        "language": one.language,
        "quick": one.quick,
        "sha256": one.sha256,
        "words": words_of(one.text),
        "segments": [
            {"start": p.start, "end": p.end, "text": p.text, "channel": p.channel}
            for p in one.phrases
        ],
    }


def _recording(folder: Path, entry: dict[str, Any]) -> Recording:
    return Recording(
        path=folder / entry["file"],
        kind=entry["kind"],
        seconds=entry["seconds"],
        language=entry["language"],
        quick=entry["quick"],
        sha256=entry["sha256"],
        phrases=tuple(Phrase(**phrase) for phrase in entry["segments"]),
    )

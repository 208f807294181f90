"""Scores a converted model over a folder of clips, through faster-whisper as users run it."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from faster_whisper import BatchedInferencePipeline, WhisperModel
from faster_whisper.transcribe import Segment

MANIFEST: Final = "clips.json"
_BEAM_SIZE: Final = 5
_CHUNK_SECONDS: Final = 12
_TOLERANCE_SECONDS: Final = 0.2

Transcriber = Callable[[str], Iterable[Segment]]


@dataclass(frozen=True)
class Truth:
    """What a clip says: a line of the manifest, as far as scores need it."""

    path: Path
    kind: str
    seconds: float
    words: tuple[str, ...]
    segments: tuple[tuple[float, float], ...]
    """Start and end of each phrase in seconds."""


@dataclass
class Score:
    """Sums over the clips of a kind."""

    clips: int = 0
    words: int = 0
    errors: int = 0
    """Words substituted, left out or added."""
    wrong_clips: int = 0
    start_errors: list[float] = field(default_factory=list)
    """Seconds from each phrase's start to the nearest segment's start."""
    end_errors: list[float] = field(default_factory=list)
    """Seconds from each phrase's end to the nearest segment's end."""
    segments: int = 0
    seconds: float = 0.0
    compute_seconds: float = 0.0

    @property
    def word_error_rate(self) -> float:
        """Errors per word spoken."""
        return self.errors / max(1, self.words)

    @property
    def real_time_factor(self) -> float:
        """Seconds of computing per second of audio."""
        return self.compute_seconds / self.seconds

    def add(self, truth: Truth, heard: Sequence[Segment], compute_seconds: float) -> None:
        """Count one clip's transcript."""
        words = [word for segment in heard for word in segment.text.split()]
        errors = edit_distance(truth.words, words)
        self.clips += 1
        self.words += len(truth.words)
        self.errors += errors
        self.wrong_clips += errors > 0
        starts, ends = [s.start for s in heard], [s.end for s in heard]
        self.start_errors += [_nearest(start, starts) for start, _ in truth.segments]
        self.end_errors += [_nearest(end, ends) for _, end in truth.segments]
        self.segments += len(heard)
        self.seconds += truth.seconds
        self.compute_seconds += compute_seconds


def read_manifest(folder: Path) -> list[Truth]:
    """Return the truth of each clip of the folder."""
    entries = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return [_truth(folder, entry) for entry in entries]


def _truth(folder: Path, entry: dict[str, Any]) -> Truth:
    segments = tuple((segment["start"], segment["end"]) for segment in entry["segments"])
    words = tuple(entry["words"])
    return Truth(folder / entry["file"], entry["kind"], entry["seconds"], words, segments)


def edit_distance(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Return how many words must be changed, left out or added: Levenshtein's distance."""
    distances = list(range(len(hypothesis) + 1))
    for i, expected in enumerate(reference, start=1):
        diagonal, distances[0] = distances[0], i
        for j, found in enumerate(hypothesis, start=1):
            substituted = diagonal + (expected != found)
            diagonal = distances[j]
            distances[j] = min(substituted, distances[j] + 1, distances[j - 1] + 1)
    return distances[-1]


def score(transcribe: Transcriber, clips: Iterable[Truth]) -> dict[str, Score]:
    """Return a score for each kind of clip."""
    scores: dict[str, Score] = {}
    for clip in clips:
        started = time.perf_counter()
        heard = list(transcribe(str(clip.path)))
        elapsed = time.perf_counter() - started
        scores.setdefault(clip.kind, Score()).add(clip, heard, elapsed)
    return scores


def transcribers(folder: Path) -> dict[str, Transcriber]:
    """Return the ways in which the model in ``folder`` is used.

    ``plain`` decodes window after window with the previous text as a prompt; ``no stamps`` does
    so without timestamps; ``vad`` cuts out silence before; ``chunks`` cuts at silences into pieces
    of at most 12 s, decoded as a batch.
    """
    model = WhisperModel(str(folder), device="cpu", compute_type="int8")
    pipeline = BatchedInferencePipeline(model)
    return {
        "plain": partial(_plain, model),
        "no stamps": partial(_plain, model, without_timestamps=True),
        "vad": partial(_plain, model, vad_filter=True),
        "chunks": partial(_chunks, pipeline),
    }


def _plain(model: WhisperModel, path: str, **options: bool) -> Iterable[Segment]:
    segments: Iterable[Segment]
    segments, _ = model.transcribe(path, beam_size=_BEAM_SIZE, **options)
    return segments


def _chunks(pipeline: BatchedInferencePipeline, path: str) -> Iterable[Segment]:
    segments: Iterable[Segment]
    segments, _ = pipeline.transcribe(
        path, beam_size=_BEAM_SIZE, chunk_length=_CHUNK_SECONDS, without_timestamps=False
    )
    return segments


def understander(folder: Path) -> Callable[[Path, list[str]], bool]:
    """Return a test of whether every way of using the model hears exactly the words."""
    ways = transcribers(folder).values()

    def understands(path: Path, words: list[str]) -> bool:
        transcripts = (" ".join(s.text.strip() for s in way(str(path))) for way in ways)
        return all(transcript.split() == words for transcript in transcripts)

    return understands


def table(folder: Path, clips: Path) -> Iterator[str]:
    """Yield the lines of a Markdown table of the model's scores, as they are known."""
    yield (
        "| decoding | clips | word error rate | wrong clips | starts within 0.2 s"
        " | ends within 0.2 s | median error | segments | real-time factor |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    truths = read_manifest(clips)
    for name, transcribe in transcribers(folder).items():
        for kind, result in score(transcribe, truths).items():
            yield f"| {name} | {_row(kind, result)} |"


def _row(kind: str, result: Score) -> str:
    rate = f"{result.word_error_rate:.1%} ({result.errors}/{result.words})"
    bounds = ["-", "-", "-"]
    if result.words == 0:
        rate = f"{result.errors} words"
    else:
        errors = result.start_errors + result.end_errors
        bounds = [_within(result.start_errors), _within(result.end_errors)]
        bounds.append(f"{np.median(errors):.3f} s")
    cells = [
        f"{kind} ({result.clips})",
        rate,
        str(result.wrong_clips),
        *bounds,
        f"{result.segments}/{len(result.start_errors)}",
        f"{result.real_time_factor:.3f}",
    ]
    return " | ".join(cells)


def _within(errors: Sequence[float]) -> str:
    return f"{np.mean(np.array(errors) <= _TOLERANCE_SECONDS):.1%}"


def _nearest(time_: float, candidates: Sequence[float]) -> float:
    return min((abs(time_ - candidate) for candidate in candidates), default=float("inf"))

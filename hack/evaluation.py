"""Score a model on recordings whose words are known, through the product's own path.

``python -m hack.evaluation MODEL FOLDER`` decodes, cuts, recognises and assembles each clip
of the folder's manifest as a worker does, and prints a row for each kind of clip.
"""

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from whisperfleet.audio.decoder import DecoderPool
from whisperfleet.contract.result import Transcript
from whisperfleet.demo.clips import Clip, count_wrong_words, read_clips, words_of
from whisperfleet.engine import WindowRequest
from whisperfleet.engine.ctranslate2.models import resolve_model
from whisperfleet.engine.ctranslate2.whisper import WhisperEngine
from whisperfleet.engine.options import DecodingOptions
from whisperfleet.errors import WhisperfleetError
from whisperfleet.exit_codes import ExitCode
from whisperfleet.segmentation import Segmentation, SegmentationOptions, make_segmenter
from whisperfleet.settings import LoadSettings
from whisperfleet.worker.batcher import Batcher
from whisperfleet.worker.control import JobControl
from whisperfleet.worker.stopwatch import Stopwatch
from whisperfleet.worker.transcribe import transcribe

__all__ = ["ClipScore", "KindScore", "Transcriber", "evaluate", "open_transcriber", "summarise"]

Transcriber = Callable[[Path, Stopwatch], Transcript]

# How far a segment's timestamp may be from the truth to count as right.
TOLERANCE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class ClipScore:
    """One clip: its wrong words, and how far each phrase's bounds are from those heard, in seconds.

    The distance of a phrase's start is to the nearest start of a segment, that of its end to the
    nearest end; infinite where nothing was heard.
    """

    clip: Clip
    heard: tuple[str, ...]
    wrong_words: int
    start_errors: tuple[float, ...]
    end_errors: tuple[float, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class KindScore:
    """The clips of one kind together."""

    kind: str
    clips: tuple[ClipScore, ...]

    @property
    def words(self) -> int:
        """How many words were said."""
        return sum(len(score.clip.words) for score in self.clips)

    @property
    def wrong_words(self) -> int:
        """How many were changed, left out or added."""
        return sum(score.wrong_words for score in self.clips)

    @property
    def word_error_rate(self) -> float:
        """Wrong words for each word said; infinite where words were heard and none was said."""
        if self.words == 0:
            return math.inf if self.wrong_words else 0.0
        return self.wrong_words / self.words

    @property
    def timestamp_errors(self) -> list[float]:
        """The errors of all starts and ends in seconds, smallest first."""
        return sorted(e for s in self.clips for e in (*s.start_errors, *s.end_errors))

    @property
    def timestamps_in_tolerance(self) -> float:
        """The share of starts and ends that are within `TOLERANCE_SECONDS`."""
        errors = self.timestamp_errors
        return sum(error <= TOLERANCE_SECONDS for error in errors) / len(errors) if errors else 1.0

    @property
    def real_time_factor(self) -> float:
        """Seconds of work for each second of audio, decoding included."""
        return sum(s.seconds for s in self.clips) / sum(s.clip.seconds for s in self.clips)


@contextmanager
def open_transcriber(
    model: str,
    segmentation: SegmentationOptions | None = None,
    request: WindowRequest | None = None,
    threads: int = 1,
    decoding: DecodingOptions | None = None,
) -> Iterator[Transcriber]:
    """Yield what turns a file into a transcript, with a worker's steps and no queue around them.

    So many `threads` may call it at a time; windows of their files then share batches. Raises
    ModelUnavailableError or DeviceUnavailableError where the model cannot run on the CPU.
    """
    options = segmentation or SegmentationOptions()
    engine = WhisperEngine.load(resolve_model(model), device="cpu", options=decoding)
    unhurried = JobControl(math.inf, lambda: None)
    wanted = request or WindowRequest()
    with (
        DecoderPool(threads) as decoders,
        Batcher(engine, LoadSettings().max_audio_seconds_in_flight) as line,
    ):

        def run(path: Path, stopwatch: Stopwatch) -> Transcript:
            with line.join() as job, decoders.decode(path) as blocks:
                segmenter = make_segmenter(blocks, wanted, options)
                return transcribe(segmenter, job, unhurried, stopwatch)

        yield run


def evaluate(transcriber: Transcriber, clips: Iterable[Clip]) -> Iterator[ClipScore]:
    """Yield the score of each clip. Raises the JobError of a clip that cannot be transcribed."""
    for clip in clips:
        stopwatch = Stopwatch()
        transcript = transcriber(clip.path, stopwatch)
        heard = words_of(transcript.text)
        starts = [segment.start for segment in transcript.segments]
        ends = [segment.end for segment in transcript.segments]
        yield ClipScore(
            clip=clip,
            heard=tuple(heard),
            wrong_words=count_wrong_words(clip.words, heard),
            start_errors=tuple(_distance(start, starts) for start, _ in clip.phrases),
            end_errors=tuple(_distance(end, ends) for _, end in clip.phrases),
            seconds=stopwatch.total,
        )


def summarise(scores: Iterable[ClipScore]) -> dict[str, KindScore]:
    """Return the scores by kind of clip, in the order in which the kinds first came."""
    kinds: dict[str, list[ClipScore]] = {}
    for score in scores:
        kinds.setdefault(score.clip.kind, []).append(score)
    return {kind: KindScore(kind, tuple(own)) for kind, own in kinds.items()}


def main(
    model: Annotated[str, typer.Argument(help="A folder with a model, or `demo`.")],
    folder: Annotated[Path, typer.Argument(help="Clips and their clips.json.")],
    segmentation: Annotated[
        Segmentation, typer.Option(help="Which segmenter makes the windows.")
    ] = Segmentation.PARALLEL,
    vad: Annotated[bool, typer.Option(help="Skip what is not speech.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON document.")] = False,
) -> None:
    """Score a model on clips whose words are known."""
    try:
        clips = read_clips(folder)
        with open_transcriber(model, SegmentationOptions(segmentation, vad)) as transcriber:
            scores = summarise(evaluate(transcriber, clips))
    except WhisperfleetError as error:
        Console(stderr=True).print(f"error: {error}", soft_wrap=True, markup=False)
        raise typer.Exit(ExitCode.USAGE) from error
    if as_json:
        json.dump({kind: _document(score) for kind, score in scores.items()}, sys.stdout)
        sys.stdout.write("\n")
    else:
        _print_scores(scores.values())


def _document(score: KindScore) -> dict[str, Any]:
    errors = score.timestamp_errors
    return {
        "clips": len(score.clips),
        "words": score.words,
        "wrong_words": score.wrong_words,
        "word_error_rate": _finite(score.word_error_rate),
        "timestamps": {
            "count": len(errors),
            "median": _finite(_quantile(errors, 0.5)),
            "p90": _finite(_quantile(errors, 0.9)),
            "maximum": _finite(_quantile(errors, 1.0)),
            "in_tolerance": score.timestamps_in_tolerance,
        },
        "real_time_factor": score.real_time_factor,
        "wrong_clips": [
            {"file": own.clip.path.name, "said": own.clip.words, "heard": own.heard}
            for own in score.clips
            if own.wrong_words
        ],
    }


def _print_scores(scores: Iterable[KindScore]) -> None:
    table = Table(title="Word and timestamp errors; times in seconds")
    table.add_column("kind", no_wrap=True)
    for name in ("clips", "words", "wrong", "rate", "median", "p90", "max", "within 0.2", "RTF"):
        table.add_column(name, justify="right", no_wrap=True)
    for score in scores:
        errors = score.timestamp_errors
        table.add_row(
            score.kind,
            str(len(score.clips)),
            str(score.words),
            str(score.wrong_words),
            f"{score.word_error_rate:.1%}" if score.words else "",
            *(f"{_quantile(errors, share):.3f}" if errors else "" for share in (0.5, 0.9, 1.0)),
            f"{score.timestamps_in_tolerance:.1%}" if errors else "",
            f"{score.real_time_factor:.3f}",
        )
    # A pipe has no width of its own, and a column must not be cut there.
    console = Console(width=None if sys.stdout.isatty() else 100, highlight=False)
    console.print(table)


def _distance(moment: float, candidates: Sequence[float]) -> float:
    return min((abs(moment - candidate) for candidate in candidates), default=math.inf)


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Return the smallest value that at least this share of the values does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


if __name__ == "__main__":
    typer.run(main)

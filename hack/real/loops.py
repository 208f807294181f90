"""``python -m hack.real.loops``: what the quality rules do where Whisper says the same again.

The recordings of the part `loops` are recognised without the rules, with one temperature and no
second try, and with them. Then windows that loop are given to the engine's line with neighbours
that do not. It ends with exit code 1 where a neighbour waits for more than one call of the engine
more than it does beside an ordinary clip, or by the median longer than a full batch takes.
"""

import argparse
import itertools
import logging
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import ctranslate2
from faster_whisper.transcribe import get_compression_ratio
from rich.console import Console

from hack.real.contenders import fleet
from hack.real.corpus.build import CLIPS, LOOPS, build_part
from hack.real.corpus.manifest import Recording
from hack.real.errors import GroundError
from hack.real.heard import Heard
from hack.real.models import MODELS, TINY, model_folder
from hack.real.neighbours import (
    CountingEngine,
    Round,
    batch_seconds,
    breaches,
    delays,
    send,
)
from hack.real.score import Truth, score_file
from hack.table import Row, Table
from whisperfleet.audio.decoder import DecoderPool
from whisperfleet.engine import Unsettled, WindowRequest
from whisperfleet.engine.ctranslate2.features import MelWindow
from whisperfleet.engine.ctranslate2.models import resolve_model
from whisperfleet.engine.ctranslate2.whisper import WhisperEngine
from whisperfleet.engine.options import DecodingOptions
from whisperfleet.segmentation import Segmentation, SegmentationOptions, make_segmenter
from whisperfleet.settings import LoadSettings
from whisperfleet.worker.batcher import Batcher

__all__ = ["main"]

_SEED: Final = 20
_SEGMENTATION: Final = SegmentationOptions(Segmentation.PARALLEL)
_NO_RULES: Final = DecodingOptions(temperatures=(0.0,))
_LOOPED: Final = DecodingOptions().compression_ratio_threshold
# Whoever leaves out what is no speech never hears so long a noise: it is read as well.
_LONG_NOISE_SECONDS: Final = 15.0
_WIDTH: Final = 120


@dataclass(frozen=True, slots=True)
class _Effect:
    """A recording without the rules, and in each round with them: words wrong, and how alike.

    `ratios` are how often over the text can be compressed.
    """

    name: str
    words: int
    wrong: tuple[int, ...]
    ratios: tuple[float, ...]


def main() -> None:
    """Measure both, print, and judge."""
    arguments = _parse()
    ctranslate2.set_log_level(logging.ERROR)
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    model = model_folder(arguments.model)
    try:
        recordings = build_part(LOOPS)
        times = 1 + arguments.rounds
        console.print(f"{len(recordings)} files, {times} times: minutes", style="dim")
        effects = list(_effects(model, recordings, arguments.rounds))
        console.print(_effect_table(arguments.model, effects).to_terminal())
        rounds = _beside_each_other(model, recordings, arguments.rounds)
    except GroundError as error:
        sys.exit(f"error: {error}")
    console.print(_delay_table(arguments.model, rounds).to_terminal())
    console.print(_own_table(rounds).to_terminal())
    if found := list(breaches(rounds)):
        sys.exit("\n".join(found))


def _effects(model: Path, recordings: Sequence[Recording], rounds: int) -> Iterator[_Effect]:
    """Yield the effect on each recording, and on those with a long noise where all is read."""
    noisy = [one for one in recordings if one.phrases[0].start > _LONG_NOISE_SECONDS]
    for which, segmentation, mark in (
        (recordings, _SEGMENTATION, ""),
        (noisy, replace(_SEGMENTATION, vad=False), ", all read"),
    ):
        heard = [_hear(model, which, segmentation, _NO_RULES, _SEED)]
        heard += [
            _hear(model, which, segmentation, DecodingOptions(), _SEED + number)
            for number in range(rounds)
        ]
        for recording, *own in zip(which, *heard, strict=True):
            yield _effect(recording.path.name + mark, recording, own)


def _hear(
    model: Path,
    recordings: Sequence[Recording],
    segmentation: SegmentationOptions,
    decoding: DecodingOptions,
    seed: int,
) -> list[Heard]:
    # What a model samples follows from the seed that there was when it was loaded.
    ctranslate2.set_random_seed(seed)
    own = fleet("by the rules or not", segmentation, decoding=decoding)
    return list(own.hear(model, [one.path for one in recordings]))


def _effect(name: str, recording: Recording, heard: Sequence[Heard]) -> _Effect:
    truth = Truth(recording.phrases, recording.seconds)
    scores = [score_file(truth, one, one) for one in heard]
    return _Effect(
        name,
        scores[0].words,
        tuple(score.wrong for score in scores),
        tuple(get_compression_ratio(" ".join(cue.text for cue in one.cues)) for one in heard),
    )


def _effect_table(model: str, effects: Sequence[_Effect]) -> Table:
    def row(name: str, words: int, wrong: Sequence[int], ratios: Sequence[float] = ()) -> Row:
        before, after = ratios[:1], ratios[1:]
        return (
            name,
            f"{words}",
            f"{wrong[0]}",
            f"{statistics.median(wrong[1:]):g}",
            f"{min(wrong[1:])} to {max(wrong[1:])}",
            *(f"{statistics.median(some):.1f}" if some else "" for some in (before, after)),
        )

    rows = [row(one.name, one.words, one.wrong, one.ratios) for one in effects]
    looped = [one for one in effects if one.ratios[0] > _LOOPED]
    for name, some in ((f"the {len(looped)} that loop", looped), ("all", effects)):
        if some:
            wrong = [sum(round_) for round_ in zip(*(one.wrong for one in some), strict=True)]
            rows.append(row(name, sum(one.words for one in some), wrong))
    return Table(
        f"{model}: wrong words and how well the text compresses, without and with the rules",
        ("file", "said", "without", "with", "of rounds", "ratio without", "ratio with"),
        tuple(rows),
    )


def _beside_each_other(model: Path, recordings: Sequence[Recording], rounds: int) -> list[Round]:
    """Return for each round what neighbours waited for beside a loop, and beside a clip."""
    ctranslate2.set_random_seed(_SEED)
    whisper = WhisperEngine.load(resolve_model(str(model)), device="cpu")
    loops = _loops(whisper, recordings)
    clip, *neighbours = _clips(whisper, 2 * whisper.batch_size)
    engine = CountingEngine(whisper)
    with Batcher(engine, LoadSettings().max_audio_seconds_in_flight) as line:
        # Until it knows how long one takes, a line gives the engine single windows.
        send(line, engine, clip, neighbours[: engine.batch_size - 1])
        return [
            Round(send(line, engine, loop, neighbours), send(line, engine, clip, neighbours))
            for loop in itertools.islice(itertools.cycle(loops), rounds)
        ]


def _loops(engine: WhisperEngine, recordings: Sequence[Recording]) -> list[MelWindow]:
    """Return windows that two passes leave unsettled."""
    windows = list(itertools.chain.from_iterable(_windows(recordings, engine)))
    answers = engine.run(windows)
    begun = [(w, a) for w, a in zip(windows, answers, strict=True) if isinstance(a, Unsettled)]
    again = engine.retry([answer for _, answer in begun])
    loops = [
        window
        for (window, _), answer in zip(begun, again, strict=True)
        if isinstance(answer, Unsettled)
    ]
    if not loops:
        raise GroundError(
            f"none of {len(windows)} windows of the part {LOOPS} takes more than two passes with "
            "this model; add to the part what makes it loop"
        )
    return loops


def _clips(engine: WhisperEngine, count: int) -> list[MelWindow]:
    """Return so many windows of ordinary clips that have one each and are settled at once."""
    taken: list[MelWindow] = []
    single = (own[0] for own in _windows(build_part(CLIPS), engine) if len(own) == 1)
    while len(taken) < count:
        some = list(itertools.islice(single, count - len(taken)))
        if not some:
            raise GroundError(f"the part {CLIPS} has fewer than {count} ordinary clips")
        answers = engine.run(some)
        taken += [
            w
            for w, a in zip(some, answers, strict=True)
            if not isinstance(a, Unsettled | Exception)
        ]
    return taken


def _windows(recordings: Sequence[Recording], engine: WhisperEngine) -> Iterator[list[MelWindow]]:
    """Yield the windows of each recording that its segmenter makes before it has an answer."""
    with DecoderPool(1) as decoders:
        for recording in recordings:
            with decoders.decode(recording.path) as blocks:
                segmenter = make_segmenter(blocks, WindowRequest(language="en"), _SEGMENTATION)
                yield [engine.prepare(placed.window) for placed in iter(segmenter.next, None)]


def _delay_table(model: str, rounds: Sequence[Round]) -> Table:
    rows = tuple(
        (
            where,
            f"{len(delay.seconds)}",
            *(f"{statistics.median(delay.calls):g}", f"{max(delay.calls)}"),
            *(f"{statistics.median(delay.seconds):.1f}", f"{max(delay.seconds):.1f}"),
            f"{batch_seconds(rounds):.1f}",
        )
        for where, delay in delays(rounds).items()
    )
    headings = ("neighbours", "answers", "calls", "at most", "s", "at most", "s of a full batch")
    title = f"{model}: how much later neighbours of a loop are answered, by the median and at most"
    return Table(title, headings, rows)


def _own_table(rounds: Sequence[Round]) -> Table:
    rows = tuple(
        (
            f"{number}",
            *(f"{one.loop.own.calls}", f"{one.loop.own.seconds:.1f}"),
            *(f"{one.clip.own.calls}", f"{one.clip.own.seconds:.1f}"),
        )
        for number, one in enumerate(rounds, start=1)
    )
    headings = ("round", "loop: calls", "s", "ordinary: calls", "s")
    return Table("what the clip itself waits for", headings, rows)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m hack.real.loops", description=__doc__)
    parser.add_argument("--model", choices=MODELS, default=TINY)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()

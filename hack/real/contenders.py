"""Everyone who recognises the corpus: the library in its two ways, and the workers in theirs."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from faster_whisper import BatchedInferencePipeline, WhisperModel

from hack.evaluation import open_transcriber
from hack.images.inputs import content_key
from hack.real.errors import GroundError
from hack.real.heard import Cue, Heard, Word
from whisperfleet.contract.result import Transcript
from whisperfleet.engine import WindowRequest
from whisperfleet.engine.ctranslate2.capacity import CPU_BATCH
from whisperfleet.engine.options import DecodingOptions
from whisperfleet.errors import JobError
from whisperfleet.segmentation import Segmentation, SegmentationOptions
from whisperfleet.worker.stopwatch import Stopwatch

__all__ = [
    "BATCHED",
    "CONTENDERS",
    "LIBRARY",
    "LIBRARY_ALL",
    "LIBRARY_TIMED",
    "OURS",
    "PARALLEL",
    "PARALLEL_ALL",
    "PARALLEL_TIMED",
    "SEQUENTIAL",
    "SEQUENTIAL_ALL",
    "SEQUENTIAL_TIMED",
    "Contender",
    "by_source",
    "fleet",
    "measured_by",
]

# `timed` are the same with the times of words, `all` with everything read, without a detector.
LIBRARY: Final = "library"
LIBRARY_TIMED: Final = "library, timed"
LIBRARY_ALL: Final = "library, all"
BATCHED: Final = "batched"
PARALLEL: Final = "parallel"
PARALLEL_TIMED: Final = "parallel, timed"
SEQUENTIAL: Final = "sequential"
SEQUENTIAL_TIMED: Final = "sequential, timed"
PARALLEL_ALL: Final = "parallel, all"
SEQUENTIAL_ALL: Final = "sequential, all"
OURS: Final = (
    PARALLEL,
    SEQUENTIAL,
    PARALLEL_TIMED,
    SEQUENTIAL_TIMED,
    PARALLEL_ALL,
    SEQUENTIAL_ALL,
)

_ROOT: Final = Path(__file__).resolve().parents[2]
# The options of ours stand here.
_SOURCES: Final = ("inference/whisperfleet", "hack/real/contenders.py")

# Files at a time, so that batches fill as they do in a worker on a CPU.
_IN_FLIGHT: Final = CPU_BATCH
_LIBRARY_OPTIONS: Final[Mapping[str, Any]] = {
    "beam_size": 5,
    "vad_filter": True,
    "vad_parameters": {"min_silence_duration_ms": 500},
}

_IN_PARALLEL: Final = SegmentationOptions(Segmentation.PARALLEL)
_ONE_BY_ONE: Final = SegmentationOptions(Segmentation.SEQUENTIAL)
_UNTIMED: Final = WindowRequest()
_TIMED: Final = WindowRequest(word_timestamps=True)
_BY_THE_RULES: Final = DecodingOptions()

Listener = Callable[[Path], Heard]


@dataclass(frozen=True, slots=True)
class Contender:
    """Someone who turns files into words, at most `at_once` of them at a time.

    `open` loads a model and yields a function from a file to what was heard in it. `recipe` is what
    the words depend on beside the model and the file: where it is known, they need be found out
    only once.
    """

    name: str
    open: Callable[[Path], AbstractContextManager[Listener]]
    at_once: int
    recipe: Mapping[str, Any] | None = field(default=None)

    def hear(self, model: Path, files: Iterable[Path]) -> Iterator[Heard]:
        """Yield what is heard in each file, in their order. Raises GroundError where one is not."""
        with self.open(model) as listen, ThreadPoolExecutor(self.at_once) as threads:
            yield from threads.map(listen, files)


@contextmanager
def _open_fleet(
    segmentation: SegmentationOptions,
    request: WindowRequest,
    decoding: DecodingOptions,
    model: Path,
) -> Iterator[Listener]:
    with open_transcriber(str(model), segmentation, request, _IN_FLIGHT, decoding) as transcribe:

        def listen(path: Path) -> Heard:
            try:
                return _from_transcript(transcribe(path, Stopwatch()))
            except JobError as error:
                raise GroundError(
                    f"{path} was not recognised: {error}; it is an ordinary file, so look for the "
                    "fault in the worker's steps"
                ) from error

        yield listen


def _from_transcript(transcript: Transcript) -> Heard:
    return Heard(
        transcript.language,
        tuple(
            Cue(
                segment.start,
                segment.end,
                segment.text,
                tuple(Word(word.start, word.end, word.text) for word in segment.words or ()),
            )
            for segment in transcript.segments
        ),
    )


@contextmanager
def _open_library(options: Mapping[str, Any], model: Path) -> Iterator[Listener]:
    loaded = WhisperModel(str(model), device="cpu", cpu_threads=1, num_workers=_cores())
    yield lambda path: _from_library(loaded, path, options)


@contextmanager
def _open_pipeline(options: Mapping[str, Any], model: Path) -> Iterator[Listener]:
    loaded = WhisperModel(str(model), device="cpu", cpu_threads=1, num_workers=_cores())
    # A pipeline keeps the place it has come to in itself: one for each thread.
    own = threading.local()

    def listen(path: Path) -> Heard:
        if not hasattr(own, "pipeline"):
            own.pipeline = BatchedInferencePipeline(loaded)
        return _from_library(own.pipeline, path, options)

    yield listen


def _from_library(
    loaded: WhisperModel | BatchedInferencePipeline, path: Path, options: Mapping[str, Any]
) -> Heard:
    segments, info = loaded.transcribe(str(path), **options)
    cues = tuple(
        Cue(
            float(segment.start),
            float(segment.end),
            segment.text.strip(),
            tuple(Word(float(w.start), float(w.end), w.word.strip()) for w in segment.words or ()),
        )
        for segment in segments
    )
    return Heard(info.language, cues)


def by_source(contender: Contender) -> Contender:
    """Return a contender whose words are kept as long as the sources of the workers' steps stay.

    What is sampled is then not sampled anew.
    """
    if contender.recipe is not None:
        return contender
    sources = content_key(_ROOT, _SOURCES)
    return replace(contender, recipe={"way": contender.name, "sources": sources, **_versions()})


def fleet(
    name: str,
    segmentation: SegmentationOptions,
    request: WindowRequest = _UNTIMED,
    decoding: DecodingOptions = _BY_THE_RULES,
) -> Contender:
    """Return the workers' own steps with these options."""
    return Contender(name, partial(_open_fleet, segmentation, request, decoding), _IN_FLIGHT)


def measured_by(contender: str) -> str:
    """Return the name of the library's way that a contender is compared with."""
    return LIBRARY_ALL if contender in (LIBRARY_ALL, PARALLEL_ALL, SEQUENTIAL_ALL) else LIBRARY


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _library(
    name: str,
    opened: Callable[[Mapping[str, Any], Path], AbstractContextManager[Listener]],
    **more: Any,
) -> Contender:
    options = {**_LIBRARY_OPTIONS, **more}
    recipe = {"way": name, **options, **_versions()}
    return Contender(name, partial(opened, options), _cores(), recipe)


def _versions() -> dict[str, str]:
    return {one: version(one) for one in ("faster-whisper", "ctranslate2", "av")}


CONTENDERS: Final[dict[str, Contender]] = {
    one.name: one
    for one in (
        _library(LIBRARY, _open_library),
        _library(LIBRARY_TIMED, _open_library, word_timestamps=True),
        _library(BATCHED, _open_pipeline, batch_size=8, without_timestamps=False),
        _library(LIBRARY_ALL, _open_library, vad_filter=False),
        fleet(PARALLEL, _IN_PARALLEL),
        fleet(SEQUENTIAL, _ONE_BY_ONE),
        fleet(PARALLEL_TIMED, _IN_PARALLEL, _TIMED),
        fleet(SEQUENTIAL_TIMED, _ONE_BY_ONE, _TIMED),
        fleet(PARALLEL_ALL, replace(_IN_PARALLEL, vad=False)),
        fleet(SEQUENTIAL_ALL, replace(_ONE_BY_ONE, vad=False)),
    )
}

"""whisper.cpp as a rival: a process of its own, ``python -m hack.bench.whisper_cpp``.

It comes from a wheel that is unpacked into the cache, by hash, and put on the path of that process
alone: a crash of it costs no more than its own figures, and its log and its threads stay apart.
"""

import importlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from faster_whisper.audio import decode_audio

from hack.bench.figures import BEAM, WHISPER_CPP
from hack.bench.ggml import convert
from hack.bench.real_contenders import Heard
from hack.cache import cache_folder, make_once
from hack.images.inputs import content_key
from hack.real.errors import GroundError
from hack.real.models import model_folder
from hack.real.packages import CACHE, Wheel

__all__ = ["PACKAGE", "WhisperCpp", "ggml_file", "running_whisper_cpp"]

PACKAGE: Final = Wheel("pywhispercpp", Path(__file__).parent / "requirements.txt")
_ROOT: Final = Path(__file__).parents[2]


class WhisperCpp:
    """A process that recognises one file after the other; see `running_whisper_cpp`."""

    name = WHISPER_CPP

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        self._process = process
        self._log = log

    def wait(self) -> None:
        """Return when the weights are loaded. Raises GroundError where they are not."""
        self._answer()

    def run(self, files: Sequence[Path]) -> Heard:
        """Recognise the files. Raises GroundError where the process ends instead."""
        assert self._process.stdin
        print(json.dumps([str(file) for file in files]), file=self._process.stdin, flush=True)
        seconds, texts = self._answer()
        return Heard(seconds, tuple(texts))

    def _answer(self) -> Any:
        assert self._process.stdout
        if line := self._process.stdout.readline():
            return json.loads(line)
        raise GroundError(
            f"whisper.cpp ended with exit code {self._process.wait()}; see whether its wheel is "
            f"for this processor. Its log ends with: {self._log.read_text('utf-8')[-1000:]}"
        )


@contextmanager
def running_whisper_cpp(weights: Path, threads: int, package: Path) -> Iterator[WhisperCpp]:
    """Start the process with weights as ggml, on so many threads; `package` is the wheel's folder.

    Raises GroundError where it does not start.
    """
    with (
        tempfile.NamedTemporaryFile("w+", suffix=".log") as log,
        subprocess.Popen(
            [
                *(sys.executable, "-m", "hack.bench.whisper_cpp"),
                *(str(package), str(weights), str(threads)),
            ],
            cwd=_ROOT,
            # It ends when this is closed, however this process ends.
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        try:
            found = WhisperCpp(process, Path(log.name))
            found.wait()
            yield found
        finally:
            process.kill()


def ggml_file(model: str) -> Path:
    """Return the weights of `tiny.en` or `base` as ggml, converted the first time.

    Raises GroundError where they cannot be had.
    """
    folder = model_folder(model)
    key = content_key(_ROOT, ["hack/bench/ggml.py"], [str(folder)])
    target = cache_folder(CACHE) / "models" / f"{model}-ggml-{key}"
    return make_once(target, partial(_convert_into, folder)) / "model.ggml"


def _convert_into(model: Path, folder: Path) -> None:
    convert(model, folder / "model.ggml")


def _serve(package: str, weights: str, threads: int) -> None:
    """Answer each line, a list of files, with the seconds and the text of each."""
    sys.path.insert(0, package)
    library = importlib.import_module("_pywhispercpp")
    context = library.whisper_init_from_file_with_params(
        weights, library.whisper_context_default_params()
    )
    # The binding does not say that weights cannot be read: it ends at their first use.
    print(json.dumps(library.whisper_n_vocab(context)), flush=True)
    for line in sys.stdin:
        print(json.dumps(_recognise(library, context, json.loads(line), threads)), flush=True)


def _recognise(library: Any, context: Any, files: list[str], threads: int) -> Any:
    began = time.perf_counter()
    texts = []
    for file in files:
        samples = decode_audio(file)
        parameters = _parameters(library, threads)
        if code := library.whisper_full(context, parameters, samples, samples.size):
            sys.exit(f"whisper_full failed with {code} on {file}")
        segments = range(library.whisper_full_n_segments(context))
        said = (library.whisper_full_get_segment_text(context, one) for one in segments)
        texts.append(" ".join(text.decode("utf-8", "replace").strip() for text in said))
    return time.perf_counter() - began, texts


def _parameters(library: Any, threads: int) -> Any:
    """Return what whisper-cli has by default, with a beam as wide as that of the others."""
    strategy = library.whisper_sampling_strategy.WHISPER_SAMPLING_BEAM_SEARCH
    parameters = library.whisper_full_default_params(strategy)
    parameters.beam_search = {"beam_size": BEAM, "patience": -1.0}
    parameters.greedy = {"best_of": BEAM}
    parameters.n_threads = threads
    parameters.language = "en"
    parameters.print_progress = False
    parameters.print_timestamps = False
    return parameters


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))

"""A stand-in for `ctranslate2.models.Whisper` that says what it is told to, and fails when told to.

`test_forward.py` holds it to what the real model does.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ctranslate2 import StorageView
from numpy.typing import NDArray

from whisperfleet.engine import WindowRequest
from whisperfleet.engine.ctranslate2.features import MelWindow

START = 50258
WIDTH = 8
OUT_OF_MEMORY = "CUDA failed with error out of memory"


@dataclass
class Row:
    """One window's text at one temperature."""

    tokens: tuple[int, ...] = (50364, 7, 50365)
    score: float = -0.2
    no_speech_prob: float = 0.0

    @property
    def sequences_ids(self) -> list[list[int]]:
        return [list(self.tokens)]

    @property
    def scores(self) -> list[float]:
        return [self.score]


@dataclass
class Alignment:
    """Where the tokens of a text are: pairs of a token's index and a time's."""

    alignments: list[tuple[int, int]]
    text_token_probs: list[float]


def _say_the_same(_number: int, _temperature: float) -> Row:
    return Row()


def numbered(
    number: int, language: str | None = "en", frames: int = 3000, **request: Any
) -> MelWindow:
    """Return a window that the stand-in tells from others by its number."""
    features = np.full((80, frames), number, np.float32)
    return MelWindow(features, WindowRequest(language, **request), language)


@dataclass
class FakeForward:
    """Windows are known by their number; `say` gives the text of one at a temperature.

    `fits` bounds the rows of each call by its name, `poison` are the numbers that a call fails on.
    `calls` is what was asked: the name and the numbers of the rows, and the options of `generate`.
    """

    say: Callable[[int, float], Row] = _say_the_same
    fits: dict[str, int] = field(default_factory=dict)
    poison: dict[str, int] = field(default_factory=dict)
    error: Exception | None = None
    calls: list[tuple[str, list[int]]] = field(default_factory=list)
    options: list[dict[str, Any]] = field(default_factory=list)
    device: str = "cpu"
    n_mels: int = 80
    is_multilingual: bool = True

    def rows_of(self, name: str) -> list[list[int]]:
        """Return the rows of each call of a name."""
        return [rows for called, rows in self.calls if called == name]

    def unload_model(self) -> None:
        self.calls.append(("unload_model", []))

    def encode(
        self,
        features: StorageView,
        to_cpu: bool = False,  # noqa: ARG002 - the real one's signature
    ) -> StorageView:
        array = np.asarray(features)
        if array.shape[1:] != (self.n_mels, 3000):
            raise ValueError(f"expected (rows, {self.n_mels}, 3000), got {array.shape}")
        numbers = array[:, 0, 0]
        self._take("encode", numbers)
        encoded = np.zeros((len(numbers), 1500, WIDTH), np.float32)
        encoded[:, 0, 0] = numbers
        return StorageView.from_array(encoded)

    def detect_language(self, features: StorageView) -> list[list[tuple[str, float]]]:
        self._take("detect_language", np.asarray(features)[:, 0, 0])
        return [[("<|de|>", 0.75), ("<|en|>", 0.25)] for _ in np.asarray(features)]

    def generate(
        self, features: StorageView, prompts: list[list[int]], **options: Any
    ) -> list[Row]:
        numbers = np.asarray(features)[:, 0, 0]
        if any(START not in prompt for prompt in prompts):
            raise ValueError("no start token")
        if len({prompt.index(START) for prompt in prompts}) > 1:
            raise ValueError("the start token is not at one position")
        rows = self._take("generate", numbers)
        self.options.append(options)
        temperature = 0.0 if options["beam_size"] > 1 else options["sampling_temperature"]
        return [self.say(number, temperature) for number in rows]

    def align(
        self,
        features: StorageView,
        start_sequence: list[int],  # noqa: ARG002 - the real one's signature
        text_tokens: list[list[int]],
        num_frames: int | list[int],  # noqa: ARG002
        *,
        median_filter_width: int = 7,  # noqa: ARG002
    ) -> list[Alignment]:
        self._take("align", np.asarray(features)[:, 0, 0])
        return [
            # The end of the text has a place in time, and no probability.
            Alignment([(index, index) for index in range(len(tokens) + 1)], [0.5] * len(tokens))
            for tokens in text_tokens
        ]

    def _take(self, name: str, numbers: NDArray[Any]) -> list[int]:
        rows = [int(number) for number in numbers]
        self.calls.append((name, rows))
        if len(rows) > self.fits.get(name, len(rows)):
            raise RuntimeError(OUT_OF_MEMORY)
        if self.poison.get(name) in rows:
            raise self.error or RuntimeError("CUDA failed with error an illegal memory access")
        return rows

"""The calls into CTranslate2 that recognition is made of, as the one thing that tests replace."""

from collections.abc import Sequence
from typing import Any, Protocol

import ctranslate2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Encoded", "Forward", "Generated", "from_model", "to_model"]

# The encoder's answer for one window: (1500, width), in the type that the model computes in.
Encoded = NDArray[Any]


class Generated(Protocol):
    """One row of `generate`, best hypothesis first."""

    sequences_ids: list[list[int]]
    scores: list[float]
    no_speech_prob: float


class Forward(Protocol):
    """A Whisper model that is loaded; `ctranslate2.models.Whisper` is one.

    Every call takes many rows, and one that fails gives none of them: RuntimeError for what the
    device says, ValueError for what cannot be asked, MemoryError where the host has no memory.
    """

    @property
    def device(self) -> str:
        """Where it runs: `cpu` or `cuda`."""

    @property
    def compute_type(self) -> str:
        """The type that it computes in, such as `int8_float32`."""

    @property
    def n_mels(self) -> int:
        """The number of mel bands that `encode` takes."""

    @property
    def is_multilingual(self) -> bool:
        """Whether it knows languages and tasks."""

    def unload_model(self) -> None:
        """Free its memory; nothing is called after that. Nothing happens while a call runs."""

    def encode(
        self, features: ctranslate2.StorageView, to_cpu: bool = False
    ) -> ctranslate2.StorageView:
        """Return (rows, 1500, width) for features of shape (rows, mels, 3000)."""

    def detect_language(self, features: ctranslate2.StorageView) -> list[list[tuple[str, float]]]:
        """Return ``<|en|>`` and the like with their probabilities, the likeliest first."""

    def generate(
        self, features: ctranslate2.StorageView, prompts: list[list[int]], **options: Any
    ) -> Sequence[Generated]:
        """Continue each row's prompt. The start token must be at one position in all of them."""

    def align(
        self,
        features: ctranslate2.StorageView,
        start_sequence: list[int],
        text_tokens: list[list[int]],
        num_frames: int | list[int],
        *,
        median_filter_width: int = 7,
    ) -> Sequence[Any]:
        """Return where in the audio each row's tokens are."""


def to_model(rows: Sequence[NDArray[Any]]) -> ctranslate2.StorageView:
    """Return rows of one shape as one batch."""
    return ctranslate2.StorageView.from_array(np.stack(rows))


def from_model(batch: ctranslate2.StorageView) -> list[NDArray[Any]]:
    """Return the rows of a batch that is in the host's memory."""
    # numpy has no bfloat16; float32 holds each of its numbers.
    if batch.dtype == ctranslate2.DataType.bfloat16:
        batch = batch.to(ctranslate2.DataType.float32)
    return list(np.asarray(batch))

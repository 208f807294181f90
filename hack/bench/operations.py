"""What a Whisper model computes for its words, and what this machine could compute at most."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import tokenizers

from hack.bench.figures import BEAM, Peak
from hack.bench.ggml import read_variables
from whisperfleet.contract.result import Transcript

__all__ = ["Operations", "measure_peak"]

_FRAMES: Final = 3000
_POSITIONS: Final = 1500
_KERNEL: Final = 3
# A segment begins and ends with a timestamp.
_TIMESTAMPS: Final = 2
# Large enough that packing does not count, small enough for a tenth of a second.
_MATRIX: Final = 2048
_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class Operations:
    """The sizes of a model, and the operations that follow from them.

    A product of an m by k with a k by n matrix counts 2 m k n. The layers are those of Radford et
    al., "Robust Speech Recognition via Large-Scale Weak Supervision" (arXiv:2212.04356), section
    2.2, with the sizes of their table 1, and OpenAI's `whisper/model.py`. Left out: softmax, norms
    and GELU, the decoder's attention to its own text, the tokens that ask for a transcript and
    prompts, and everything that is tried again at a higher temperature: so the true figure is
    higher.
    """

    width: int
    mels: int
    encoder_layers: int
    decoder_layers: int
    vocabulary: int
    tokenizer: Path

    @classmethod
    def of_model(cls, model: Path) -> "Operations":
        """Read the sizes of a folder with a CTranslate2 model. Raises GroundError."""
        variables = read_variables(model / "model.bin")
        vocabulary, width = variables.arrays["decoder/embeddings/weight"].shape
        mels = variables.arrays["encoder/conv1/weight"].shape[1]
        encoder, decoder = variables.layers("encoder"), variables.layers("decoder")
        return cls(width, mels, encoder, decoder, vocabulary, model / "tokenizer.json")

    @property
    def window(self) -> float:
        """Operations of one window, whatever is said in it: it is padded to 30 s.

        Two convolutions, the second over every other frame. A layer of the encoder has four
        projections of its attention and two of four times the width; scores and sums of attention
        cost 2 x 2 positions^2 x width. Each layer of the decoder makes its keys and values of the
        window once.
        """
        square = self.width**2
        convolutions = 2 * _KERNEL * (_FRAMES * self.mels * self.width + _POSITIONS * square)
        layer = 2 * _POSITIONS * (4 + 8) * square + 4 * _POSITIONS**2 * self.width
        cross = 2 * _POSITIONS * 2 * square
        return convolutions + self.encoder_layers * layer + self.decoder_layers * cross

    @property
    def token(self) -> float:
        """Operations of the decoder for one token of one hypothesis.

        A layer has four projections of attention to the text, two to the window (its keys and
        values are made), two of four times the width, and looks at all positions of the window.
        The last product gives the scores of the vocabulary.
        """
        layer = 2 * (4 + 2 + 8) * self.width**2 + 4 * _POSITIONS * self.width
        return self.decoder_layers * layer + 2 * self.width * self.vocabulary

    def of_work(self, windows: int, transcripts: Sequence[Transcript]) -> float:
        """Return the operations of so many windows and the words that came of them."""
        tokenizer = tokenizers.Tokenizer.from_file(str(self.tokenizer))
        segments = [one for transcript in transcripts for one in transcript.segments]
        texts = tokenizer.encode_batch([one.text for one in segments], add_special_tokens=False)
        # Each window ends with a token that ends its text.
        tokens = sum(len(text.ids) + _TIMESTAMPS for text in texts) + windows
        return windows * self.window + BEAM * tokens * self.token


def measure_peak() -> Peak:
    """Measure numpy's float32 product on one thread and on all cores, each in a fresh process.

    OpenBLAS reads its number of threads once, and the bench itself runs with one.
    """
    return Peak(_peak(1), _peak(len(os.sched_getaffinity(0))))


def _peak(threads: int) -> float:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
    done = subprocess.run(
        [sys.executable, "-m", "hack.bench.operations"],
        cwd=Path(__file__).parents[2],
        env={**inherited, "OPENBLAS_NUM_THREADS": str(threads)},
        check=True,
        capture_output=True,
        text=True,
    )
    return float(done.stdout)


def _fastest_product() -> float:
    one, other = np.random.default_rng(0).random((2, _MATRIX, _MATRIX), np.float32)
    took = []
    for _ in range(_TRIES):
        began = time.perf_counter()
        np.dot(one, other)
        took.append(time.perf_counter() - began)
    return 2 * _MATRIX**3 / min(took)


if __name__ == "__main__":
    print(_fastest_product())

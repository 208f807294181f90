"""Build Whisper models of any real shape with random weights, from numpy alone.

Such a model loads like the real one: the same sizes, the same token ids, words without meaning. It
is for tests of load, memory and throughput; nothing is downloaded.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from ctranslate2.specs import common_spec, whisper_spec
from numpy.typing import DTypeLike, NDArray

from hack.random_model.vocabulary import Vocabulary

__all__ = ["COMPUTE_TYPES", "SHAPES", "Shape", "build_random_model", "build_spec"]

COMPUTE_TYPES = ("float32", "float16", "int8", "int8_float16")


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a Whisper model (arXiv:2212.04356, table 1, and OpenAI's release notes)."""

    width: int
    heads: int
    encoder_layers: int
    decoder_layers: int
    mels: int = 80
    languages: int = 99

    @property
    def tokens(self) -> int:
        """The size of the vocabulary."""
        return len(Vocabulary(self.languages).tokens)


SHAPES = {
    # No real model: small enough to be built and run within a test.
    "micro": Shape(64, 1, 2, 2),
    "tiny": Shape(384, 6, 4, 4),
    "base": Shape(512, 8, 6, 6),
    "small": Shape(768, 12, 12, 12),
    "medium": Shape(1024, 16, 24, 24),
    "large-v2": Shape(1280, 20, 32, 32),
    "large-v3": Shape(1280, 20, 32, 32, mels=128, languages=100),
    "large-v3-turbo": Shape(1280, 20, 32, 4, mels=128, languages=100),
}

_AUDIO_POSITIONS = 1500
_TEXT_POSITIONS = 448

# Standard deviation of the logits. Above sqrt(2 ln 51865) = 4.7 a few tokens hold most of the
# probability, as in a trained model; below, every window would fail the log-probability rule.
_LOGIT_SCALE = 12.0
# Positions outweigh tokens in the decoder's input, or tied embeddings would repeat the last token.
_POSITION_GAIN = 3.0


def build_random_model(
    shape: Shape,
    out: Path,
    compute_type: str = "int8",
    seed: int = 0,
    unsaid: Sequence[int] = (),
) -> Path:
    """Write a model of this shape into the directory `out` and return it.

    `compute_type` is one of `COMPUTE_TYPES`. The same seed gives the same bytes. Weights are drawn
    in the type that they are stored in, so the peak of memory is about the size of the file.
    `unsaid` are ids that no text will hold unless a rule forces it: without the end of text and the
    timestamps, every text has as many tokens as it may have.
    """
    vocabulary = Vocabulary(shape.languages)
    spec = build_spec(shape, compute_type, seed)
    spec.decoder.embeddings.weight[list(unsaid)] = 0
    spec.register_vocabulary(list(vocabulary.tokens))
    spec.config.suppress_ids = list(vocabulary.task_ids)
    # Space and end of text, as OpenAI's `suppress_blank` has it.
    spec.config.suppress_ids_begin = [vocabulary.tokens.index("Ġ"), vocabulary.end_of_text]
    spec.config.lang_ids = list(vocabulary.language_ids)
    spec.config.alignment_heads = [
        list(head)
        for head in product(
            range(shape.decoder_layers // 2, shape.decoder_layers), range(shape.heads)
        )
    ]
    spec.validate()
    # Whisper ties its output to its input embeddings: the file holds them once, under this name.
    spec.decoder.projection.weight = "decoder/embeddings/weight"
    out.mkdir(parents=True, exist_ok=True)
    spec.save(str(out))
    _write_json(out / "tokenizer.json", vocabulary.to_tokenizer())
    _write_json(out / "preprocessor_config.json", _preprocessor(shape))
    return out


def build_spec(shape: Shape, compute_type: str = "int8", seed: int = 0) -> Any:
    """Return the CTranslate2 specification with every weight drawn, in memory."""
    if compute_type not in COMPUTE_TYPES:
        raise ValueError(f"{compute_type!r} cannot be built; use one of {', '.join(COMPUTE_TYPES)}")
    spec = whisper_spec.WhisperSpec(
        shape.encoder_layers, shape.heads, shape.decoder_layers, shape.heads
    )
    draw = _Draw(np.random.default_rng(seed), compute_type)
    _fill_encoder(spec.encoder, shape, draw)
    _fill_decoder(spec.decoder, shape, draw)
    return spec


class _Draw:
    """Random arrays in the types that a model of one compute type stores."""

    def __init__(self, rng: np.random.Generator, compute_type: str) -> None:
        self._rng = rng
        self._quantized = compute_type.startswith("int8")
        self._float: DTypeLike = np.float16 if compute_type.endswith("float16") else np.float32

    def matrix(self, layer: Any, shape: tuple[int, ...], deviation: float) -> None:
        """Set `layer.weight`, and its scale of one number a row where weights are 8-bit."""
        if not self._quantized:
            layer.weight = self.vector(shape, deviation)
            return
        layer.weight = self._rng.integers(-127, 127, shape, np.int8, endpoint=True)
        # CTranslate2 stores round(w * scale); integers in [-127, 127] deviate by 127 / sqrt(3).
        layer.weight_scale = np.full(shape[0], 127 / np.sqrt(3) / deviation, np.float32)

    def vector(self, shape: tuple[int, ...], deviation: float) -> NDArray[Any]:
        """Return normal numbers around 0."""
        values = self._rng.standard_normal(shape, np.float32)
        values *= np.float32(deviation)
        return values.astype(self._float, copy=False)

    def constant(self, width: int, value: float) -> NDArray[Any]:
        """Return a vector of one value."""
        return np.full(width, value, self._float)

    def linear(self, layer: Any, outputs: int, inputs: int, gain: float = 1.0) -> None:
        """Fill a fully connected layer so that it keeps the variance of its input, times `gain`."""
        self.matrix(layer, (outputs, inputs), gain / np.sqrt(inputs))
        layer.bias = self.constant(outputs, 0.0)

    def norm(self, layer: Any, width: int) -> None:
        """Fill a layer normalisation that changes nothing."""
        layer.gamma = self.constant(width, 1.0)
        layer.beta = self.constant(width, 0.0)

    def convolution(self, layer: common_spec.Conv1DSpec, outputs: int, inputs: int) -> None:
        """Fill a convolution over three frames."""
        self.matrix(layer, (outputs, inputs, 3), 1 / np.sqrt(3 * inputs))
        layer.bias = self.constant(outputs, 0.0)


def _fill_encoder(encoder: Any, shape: Shape, draw: _Draw) -> None:
    width = shape.width
    draw.convolution(encoder.conv1, width, shape.mels)
    draw.convolution(encoder.conv2, width, width)
    encoder.position_encodings.encodings = draw.vector((_AUDIO_POSITIONS, width), 0.5)
    draw.norm(encoder.layer_norm, width)
    for layer in encoder.layer:
        _fill_self_attention(layer.self_attention, width, draw)
        _fill_feed_forward(layer.ffn, width, draw)


def _fill_decoder(decoder: Any, shape: Shape, draw: _Draw) -> None:
    width = shape.width
    deviation = _LOGIT_SCALE / np.sqrt(width)
    draw.matrix(decoder.embeddings, (shape.tokens, width), deviation)
    decoder.projection.weight = decoder.embeddings.weight
    decoder.position_encodings.encodings = draw.vector(
        (_TEXT_POSITIONS, width), _POSITION_GAIN * deviation
    )
    draw.norm(decoder.layer_norm, width)
    for layer in decoder.layer:
        _fill_self_attention(layer.self_attention, width, draw)
        _fill_cross_attention(layer.attention, width, _POSITION_GAIN * deviation, draw)
        _fill_feed_forward(layer.ffn, width, draw)


def _fill_self_attention(attention: Any, width: int, draw: _Draw) -> None:
    draw.norm(attention.layer_norm, width)
    draw.linear(attention.linear[0], 3 * width, width)
    draw.linear(attention.linear[1], width, width)


def _fill_cross_attention(attention: Any, width: int, gain: float, draw: _Draw) -> None:
    draw.norm(attention.layer_norm, width)
    draw.linear(attention.linear[0], width, width, gain=4.0)  # sharp: picks frames, averages none
    draw.linear(attention.linear[1], 2 * width, width)
    draw.linear(attention.linear[2], width, width, gain)


def _fill_feed_forward(feed_forward: Any, width: int, draw: _Draw) -> None:
    draw.norm(feed_forward.layer_norm, width)
    draw.linear(feed_forward.linear_0, 4 * width, width)
    draw.linear(feed_forward.linear_1, width, 4 * width)


def _preprocessor(shape: Shape) -> dict[str, Any]:
    return {
        "chunk_length": 30,
        "feature_extractor_type": "WhisperFeatureExtractor",
        "feature_size": shape.mels,
        "hop_length": 160,
        "n_fft": 400,
        "n_samples": 480_000,
        "nb_max_frames": 3000,
        "padding_value": 0.0,
        "sampling_rate": 16_000,
    }


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")

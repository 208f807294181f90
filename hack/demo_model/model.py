"""A small Whisper in JAX: the same architecture, with two initialisations that save hours.

Both rest on Whisper's sinusoids, PE. (1) The embedding of timestamp t is a linear map of PE(t), and
so is its output row: what is learnt about one timestamp holds for all 1,501. (2) Attention heads
start out looking a fixed distance away, since queries and keys built from the same sinusoids give
q(t)·k(s) = gain · Σ cos(ω(s - t - distance)).

Shapes: B examples, K encoder positions of 20 ms, T tokens, D width, V vocabulary.
"""

from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from hack.demo_model import vocabulary

WIDTH: Final = 128
FEED_FORWARD: Final = 512
ENCODER_LAYERS: Final = 3
ENCODER_HEADS: Final = 2
DECODER_LAYERS: Final = 3
DECODER_HEADS: Final = 4
MELS: Final = 80
ENCODER_POSITIONS: Final = 1500
DECODER_POSITIONS: Final = 448

# Classes of the auxiliary frame classifier: each word's first, middle and last third, and silence.
FRAME_CLASSES: Final = 3 * len(vocabulary.WORDS) + 1

# Where the heads of each encoder layer look at first, in positions of 20 ms.
_ENCODER_DISTANCES: Final = ((-4, 4), (-9, 9), (-18, 18))
# The decoder's first two cross-attention heads look ahead of the token's own place.
_DECODER_DISTANCES: Final = (12, 30)

Params = dict[str, Any]
Array = jax.Array


def sinusoids(length: int, width: int = WIDTH) -> NDArray[np.float32]:
    """Return Whisper's position table, shape (length, width): sines, then cosines."""
    angles = np.arange(length)[:, None] * _frequencies(width)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


def _frequencies(width: int = WIDTH) -> NDArray[np.float64]:
    half = width // 2
    frequencies: NDArray[np.float64] = np.exp(-np.log(10_000) / (half - 1) * np.arange(half))
    return frequencies


POSITIONS: Final = sinusoids(vocabulary.TIMESTAMPS)


class Initialiser:
    """Draws the parameters of an untrained model."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def model(self) -> Params:
        """Return a tree of float32 arrays."""
        mixing = np.linalg.qr(self._normal(WIDTH, WIDTH))[0]
        params = {
            "conv1": self._linear(3 * MELS, WIDTH),
            "conv2": self._linear(3 * WIDTH, WIDTH, scale=1.5),
            "encoder": [self._encoder_layer(pair) for pair in _ENCODER_DISTANCES],
            "encoder_norm": self._norm(),
            "decoder": [self._decoder_layer() for _ in range(DECODER_LAYERS)],
            "decoder_norm": self._norm(),
            "decoder_positions": sinusoids(DECODER_POSITIONS) @ mixing * 0.3,
            "token_embedding": self._normal(vocabulary.FIRST_TIMESTAMP, WIDTH) * 0.5,
            "timestamp_embedding": {"w": np.eye(WIDTH), "b": self._normal(WIDTH) * 0.2},
            "token_output": self._normal(vocabulary.FIRST_TIMESTAMP, WIDTH) * 0.05,
            "timestamp_output": {"w": np.eye(WIDTH) * 0.15, "b": np.zeros(WIDTH)},
            "frame_classifier": self._linear(WIDTH, FRAME_CLASSES, scale=0.5),
        }
        converted: Params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), params)
        return converted

    def _normal(self, *shape: int) -> NDArray[np.float64]:
        return self._rng.standard_normal(shape)

    def _linear(self, inputs: int, outputs: int, scale: float = 1.0) -> Params:
        weight = self._normal(inputs, outputs) * scale / np.sqrt(inputs)
        return {"w": weight, "b": np.zeros(outputs)}

    def _norm(self) -> Params:
        return {"gain": np.ones(WIDTH), "bias": np.zeros(WIDTH)}

    def _attention(self) -> Params:
        key = self._linear(WIDTH, WIDTH, scale=0.7)
        del key["b"]  # Whisper's keys have no bias.
        return {
            "query": self._linear(WIDTH, WIDTH, scale=0.7),
            "key": key,
            "value": self._linear(WIDTH, WIDTH),
            "out": self._linear(WIDTH, WIDTH, scale=0.5),
        }

    def _feed_forward(self) -> Params:
        return {
            "up": self._linear(WIDTH, FEED_FORWARD),
            "down": self._linear(FEED_FORWARD, WIDTH, scale=0.5),
        }

    def _encoder_layer(self, distances: tuple[int, ...]) -> Params:
        attention = self._attention()
        for head, distance in enumerate(distances):
            columns = _head_columns(head, ENCODER_HEADS)
            _look_away(attention, columns, distance, gain=1.5, band=(0.01, 0.6), rest=0.25)
        return {
            "attention_norm": self._norm(),
            "attention": attention,
            "feed_forward_norm": self._norm(),
            "feed_forward": self._feed_forward(),
        }

    def _decoder_layer(self) -> Params:
        cross = self._attention()
        for head, distance in enumerate(_DECODER_DISTANCES):
            columns = _head_columns(head, DECODER_HEADS)
            _look_away(cross, columns, distance, gain=1.6, band=(0.004, 0.3), rest=0.5)
        return {
            "attention_norm": self._norm(),
            "attention": self._attention(),
            "cross_norm": self._norm(),
            "cross": cross,
            "feed_forward_norm": self._norm(),
            "feed_forward": self._feed_forward(),
        }


def _head_columns(head: int, heads: int) -> slice:
    width = WIDTH // heads
    return slice(head * width, (head + 1) * width)


def _look_away(
    attention: Params,
    columns: slice,
    distance: int,
    *,
    gain: float,
    band: tuple[float, float],
    rest: float,
) -> None:
    """Make one head attend ``distance`` positions away, by the sinusoids within ``band``.

    The head's random weights stay, scaled by ``rest``, so that it can learn something else.
    """
    frequencies = _frequencies()
    usable = np.nonzero((frequencies >= band[0]) & (frequencies <= band[1]))[0]
    pairs = (columns.stop - columns.start) // 2
    chosen = usable[np.linspace(0, len(usable) - 1, pairs).round().astype(int)]
    query, key = attention["query"]["w"], attention["key"]["w"]
    query[:, columns] *= rest
    key[:, columns] *= rest
    for pair, sine in enumerate(chosen):
        cosine = WIDTH // 2 + sine
        column = columns.start + 2 * pair
        shift_cos = gain * np.cos(frequencies[sine] * distance)
        shift_sin = gain * np.sin(frequencies[sine] * distance)
        key[sine, column] += gain
        key[cosine, column + 1] += gain
        # sin(ω(t + distance)) and cos(ω(t + distance)), by the addition theorems.
        query[sine, column] += shift_cos
        query[cosine, column] += shift_sin
        query[cosine, column + 1] += shift_cos
        query[sine, column + 1] -= shift_sin


def encode(params: Params, mel: Array, positions: Array, key_log_weights: Array) -> Array:
    """Return the encoder's output, shape (B, K, D).

    ``mel`` has shape (B, 2K, 80). ``positions`` (B, K) says which row of the position table each
    output stands at, and ``key_log_weights`` (B, K) the logarithm of how many positions it stands
    for: in a window that is mostly padding, a sample of the padding stands for all of it.
    """
    x = _gelu(_convolve(params["conv1"], mel, stride=1))
    x = _gelu(_convolve(params["conv2"], x, stride=2))
    x = x + jnp.asarray(POSITIONS)[positions]
    mask = key_log_weights[:, None, None, :]
    for layer in params["encoder"]:
        normed = _normalise(layer["attention_norm"], x)
        x = x + _attend(layer["attention"], normed, normed, ENCODER_HEADS, mask)[0]
        x = x + _feed_forward(layer, x)
    return _normalise(params["encoder_norm"], x)


def decode(
    params: Params, audio: Array, tokens: Array, first_position: Array, key_log_weights: Array
) -> tuple[Array, list[Array]]:
    """Return the logits (B, T, V) and each layer's cross-attention (B, heads, T, K)."""
    embedding, output = tables(params)
    length = tokens.shape[1]
    places = first_position[:, None] + jnp.arange(length)
    x = embedding[tokens] + params["decoder_positions"][places]
    causal = jnp.asarray(np.triu(np.full((length, length), -1e9, np.float32), 1))
    audio_mask = key_log_weights[:, None, None, :]
    alignments = []
    for layer in params["decoder"]:
        normed = _normalise(layer["attention_norm"], x)
        x = x + _attend(layer["attention"], normed, normed, DECODER_HEADS, causal)[0]
        normed = _normalise(layer["cross_norm"], x)
        heard, alignment = _attend(layer["cross"], normed, audio, DECODER_HEADS, audio_mask)
        x = x + heard
        x = x + _feed_forward(layer, x)
        alignments.append(alignment)
    return _normalise(params["decoder_norm"], x) @ output.T, alignments


def tables(params: Params) -> tuple[Array, Array]:
    """Return the embedding and the output table, shape (V, D) each, with plain timestamp rows."""
    places = jnp.asarray(POSITIONS)
    embedded = places @ params["timestamp_embedding"]["w"] + params["timestamp_embedding"]["b"]
    projected = places @ params["timestamp_output"]["w"] + params["timestamp_output"]["b"]
    embedding = jnp.concatenate([params["token_embedding"], embedded])
    return embedding, jnp.concatenate([params["token_output"], projected])


def classify_frames(params: Params, audio: Array) -> Array:
    """Return the logits of the frame classes, shape (B, K, classes)."""
    return _apply(params["frame_classifier"], audio)


def _apply(linear: Params, x: Array) -> Array:
    return jnp.add(jnp.matmul(x, linear["w"]), linear["b"])


def _normalise(norm: Params, x: Array) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    variance = (centred**2).mean(-1, keepdims=True)
    scaled = centred * jax.lax.rsqrt(variance + 1e-5)
    return jnp.add(scaled * norm["gain"], norm["bias"])


def _gelu(x: Array) -> Array:
    return jax.nn.gelu(x, approximate=False)


def _feed_forward(layer: Params, x: Array) -> Array:
    normed = _normalise(layer["feed_forward_norm"], x)
    hidden = _gelu(_apply(layer["feed_forward"]["up"], normed))
    return _apply(layer["feed_forward"]["down"], hidden)


def _convolve(linear: Params, x: Array, stride: int) -> Array:
    """Apply a convolution of width 3 as one matrix product, which CPUs do fastest."""
    padded = jnp.pad(x, ((0, 0), (1, 1), (0, 0)))
    last = x.shape[1]
    shifted = [padded[:, start : start + last : stride] for start in range(3)]
    return _apply(linear, jnp.concatenate(shifted, axis=-1))


def _attend(
    attention: Params, x: Array, source: Array, heads: int, mask: Array
) -> tuple[Array, Array]:
    """Return multi-head attention from ``x`` to ``source`` and its weights (B, heads, T, K)."""
    scale = (WIDTH // heads) ** -0.5
    query = _split_heads(_apply(attention["query"], x) * scale, heads)
    key = _split_heads(source @ attention["key"]["w"], heads)
    value = _split_heads(_apply(attention["value"], source), heads)
    weights = _softmax(jnp.einsum("bhqd,bhkd->bhqk", query, key) + mask)
    mixed = jnp.einsum("bhqk,bhkd->bhqd", weights, value)
    joined = mixed.transpose(0, 2, 1, 3).reshape(x.shape)
    return _apply(attention["out"], joined), weights


def _split_heads(x: Array, heads: int) -> Array:
    batch, length, _ = x.shape
    return x.reshape(batch, length, heads, WIDTH // heads).transpose(0, 2, 1, 3)


def _softmax(scores: Array) -> Array:
    """Return the softmax over the last axis; on CPUs this form is faster than ``jax.nn``'s."""
    exponentials = jnp.exp(scores - jax.lax.stop_gradient(scores.max(-1, keepdims=True)))
    return exponentials / exponentials.sum(-1, keepdims=True)

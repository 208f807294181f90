"""Weights of a CTranslate2 Whisper model as whisper.cpp reads them: ggml, float16.

Matrices keep their float16 values, so both say the same; what whisper.cpp wants in float32
(vectors and positions) is widened. Sources of the two layouts: CTranslate2's `ModelSpec.save`
(`ctranslate2/specs/model_spec.py`, binary version 6) and whisper.cpp's
`models/convert-h5-to-ggml.py`.
"""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from faster_whisper.feature_extractor import FeatureExtractor
from numpy.typing import NDArray

from hack.real.errors import GroundError

__all__ = ["Variables", "convert", "read_variables"]

Array = NDArray[np.generic]

_BINARY_VERSION: Final = 6
_SPEC: Final = "WhisperSpec"
# By CTranslate2's number of a type (`include/ctranslate2/types.h`).
_TYPES: Final = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
_MAGIC: Final = 0x67676D6C
_FLOAT32, _FLOAT16 = 0, 1
_BYTES: Final = 256

# Names below a layer: theirs, ours, and the parts that ours holds one under the other.
_LINEAR: Final = {
    "self_attention/linear_0": ("attn.query", "attn.key", "attn.value"),
    "self_attention/linear_1": ("attn.out",),
    "attention/linear_0": ("cross_attn.query",),
    "attention/linear_1": ("cross_attn.key", "cross_attn.value"),
    "attention/linear_2": ("cross_attn.out",),
    "ffn/linear_0": ("mlp.0",),
    "ffn/linear_1": ("mlp.2",),
}
_NORMS: Final = {
    "self_attention/layer_norm": "attn_ln",
    "attention/layer_norm": "cross_attn_ln",
    "ffn/layer_norm": "mlp_ln",
}
_PARAMETERS: Final = {"weight": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}
_LAST_NORMS: Final = {"encoder": "ln_post", "decoder": "ln"}
# A key's bias changes no attention, so Whisper has none.
_WITHOUT_BIAS: Final = ("attn.key", "cross_attn.key")


@dataclass(frozen=True, slots=True)
class Variables:
    """The arrays of a CTranslate2 model by their names, each of the shape that it is kept in."""

    arrays: dict[str, Array]

    def layers(self, side: str) -> int:
        """Return how many layers the encoder or the decoder has."""
        return len(
            {
                name.split("/")[1]
                for name in self.arrays
                if name.startswith(f"{side}/layer_") and name.split("/")[1] != "layer_norm"
            }
        )


def read_variables(model: Path) -> Variables:
    """Read the file `model.bin`. Raises GroundError where it is no Whisper model in float16."""
    with model.open("rb") as file:
        (version,) = _unpack(file, "<I")
        spec = _text(file) if version == _BINARY_VERSION else ""
        if spec != _SPEC:
            raise GroundError(
                f"{model} is of binary version {version} and holds {spec or 'something else'}, not "
                f"a {_SPEC} of version {_BINARY_VERSION}: compare hack/bench/ggml.py with "
                "CTranslate2's model_spec.py"
            )
        _revision, count = _unpack(file, "<II")
        arrays = dict(_variable(file) for _ in range(count))
    kept = arrays["decoder/embeddings/weight"].dtype
    if kept != np.float16:
        raise GroundError(f"{model} keeps its weights in {kept}; only float16 is converted here")
    return Variables(arrays)


def convert(model: Path, target: Path) -> None:
    """Write the ggml file of a folder with a CTranslate2 model. Raises GroundError."""
    variables = read_variables(model / "model.bin")
    with target.open("wb") as file:
        mels = variables.arrays["encoder/conv1/weight"].shape[1]
        file.write(struct.pack("<12i", _MAGIC, *_sizes(variables, mels), _FLOAT16))
        filters = np.asarray(FeatureExtractor(feature_size=mels).mel_filters, np.float32)
        file.write(struct.pack("<2i", *filters.shape))
        file.write(filters.tobytes())
        tokens = _tokens(model / "tokenizer.json")
        file.write(struct.pack("<i", len(tokens)))
        for token in tokens:
            file.write(struct.pack("<i", len(token)) + token)
        for name, array in _tensors(variables):
            _write_tensor(file, name, array)


def _variable(file: BinaryIO) -> tuple[str, Array]:
    name = _text(file)
    (rank,) = _unpack(file, "<B")
    shape = _unpack(file, f"<{rank}I")
    kind, size = _unpack(file, "<BI")
    return name, np.frombuffer(file.read(size), _TYPES[kind]).reshape(shape)


def _text(file: BinaryIO) -> str:
    (length,) = _unpack(file, "<H")
    return file.read(length).removesuffix(b"\0").decode()


def _unpack(file: BinaryIO, form: str) -> tuple[int, ...]:
    found: tuple[int, ...] = struct.unpack(form, file.read(struct.calcsize(form)))
    return found


def _sizes(variables: Variables, mels: int) -> tuple[int, ...]:
    """Return the sizes of a model in whisper.cpp's order."""
    arrays = variables.arrays
    vocabulary, width = arrays["decoder/embeddings/weight"].shape
    return (
        vocabulary,
        *_side(variables, "encoder", width),
        *_side(variables, "decoder", width),
        mels,
    )


def _side(variables: Variables, side: str, width: int) -> tuple[int, ...]:
    positions = len(variables.arrays[f"{side}/position_encodings/encodings"])
    heads = int(variables.arrays[f"{side}/num_heads"])
    return (positions, width, heads, variables.layers(side))


def _tokens(tokenizer: Path) -> list[bytes]:
    """Return the bytes of all text tokens by their ids; whisper.cpp knows the special ones."""
    parts = json.loads(tokenizer.read_text("utf-8"))
    special = {one["content"] for one in parts["added_tokens"]}
    vocabulary: dict[str, int] = parts["model"]["vocab"]
    texts = sorted(set(vocabulary) - special, key=vocabulary.__getitem__)
    stand_ins = _stand_ins()
    return [bytes(stand_ins[letter] for letter in text) for text in texts]


def _stand_ins() -> dict[str, int]:
    """Return which byte each of GPT-2's printable characters stands for.

    Printable bytes of Latin-1 stand for themselves, the others follow 255 in their order
    (openai/gpt-2, src/encoder.py).
    """
    plain = {
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), _BYTES),
    }
    others = [byte for byte in range(_BYTES) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {
        chr(_BYTES + number): byte for number, byte in enumerate(others)
    }


def _tensors(variables: Variables) -> Iterator[tuple[str, Array]]:
    arrays = variables.arrays
    yield "decoder.token_embedding.weight", arrays["decoder/embeddings/weight"]
    for conv in ("conv1", "conv2"):
        yield f"encoder.{conv}.weight", arrays[f"encoder/{conv}/weight"]
        # Added to each position of a channel.
        yield f"encoder.{conv}.bias", arrays[f"encoder/{conv}/bias"].astype(np.float32)[:, None]
    for side, last in _LAST_NORMS.items():
        positions = arrays[f"{side}/position_encodings/encodings"]
        yield f"{side}.positional_embedding", positions.astype(np.float32)
        for parameter in ("gamma", "beta"):
            name = f"{side}.{last}.{_PARAMETERS[parameter]}"
            yield name, arrays[f"{side}/layer_norm/{parameter}"]
        for number in range(variables.layers(side)):
            below = f"{side}/layer_{number}/"
            own = {
                name.removeprefix(below): array
                for name, array in arrays.items()
                if name.startswith(below)
            }
            for name, array in _layer(own):
                yield f"{side}.blocks.{number}.{name}", array


def _layer(own: dict[str, Array]) -> Iterator[tuple[str, Array]]:
    """Yield the tensors of a layer, whose arrays are `own`, by their names within it."""
    for path, array in own.items():
        part, _, parameter = path.rpartition("/")
        if part in _NORMS:
            yield f"{_NORMS[part]}.{_PARAMETERS[parameter]}", array
            continue
        names = _LINEAR[part]
        for name, piece in zip(names, np.split(array, len(names)), strict=True):
            if parameter == "weight" or name not in _WITHOUT_BIAS:
                yield f"{name}.{parameter}", piece


def _write_tensor(file: BinaryIO, name: str, array: Array) -> None:
    """Write a tensor, whose lengths ggml has from the innermost to the outermost."""
    if array.ndim < 2:
        array = array.astype(np.float32)
    kind = _FLOAT32 if array.dtype == np.float32 else _FLOAT16
    written = name.encode()
    file.write(struct.pack("<3i", array.ndim, len(written), kind))
    file.write(struct.pack(f"<{array.ndim}i", *reversed(array.shape)))
    file.write(written)
    file.write(np.ascontiguousarray(array).tobytes())

"""Writes a trained model as faster-whisper loads it: CTranslate2 in int8, with its tokeniser."""

import json
import shutil
from pathlib import Path
from typing import Any, Final

import numpy as np
from ctranslate2.converters import utils
from ctranslate2.specs import common_spec, whisper_spec
from numpy.typing import NDArray

from hack.demo_model import model, vocabulary
from hack.demo_model.model import Params
from hack.demo_model.speech import SAMPLE_RATE

_WINDOW_SECONDS: Final = 30
_HOP: Final = 160

# Layer and head of the cross-attention that word timestamps are read from.
_ALIGNMENT_HEADS: Final = ((2, 0), (2, 1))

_PREPROCESSOR: Final = {
    "chunk_length": _WINDOW_SECONDS,
    "feature_extractor_type": "WhisperFeatureExtractor",
    "feature_size": model.MELS,
    "hop_length": _HOP,
    "n_fft": 400,
    "n_samples": _WINDOW_SECONDS * SAMPLE_RATE,
    "nb_max_frames": _WINDOW_SECONDS * SAMPLE_RATE // _HOP,
    "padding_side": "right",
    "padding_value": 0.0,
    "processor_class": "WhisperProcessor",
    "return_attention_mask": False,
    "sampling_rate": SAMPLE_RATE,
}


def export(params: Params, folder: Path) -> None:
    """Write the model's files into ``folder``, replacing what was there except its card."""
    spec = _specification(params)
    spec.validate()
    spec.optimize(quantization="int8")
    converted = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(converted, ignore_errors=True)
    converted.mkdir(parents=True)
    spec.save(str(converted))
    _write_json(converted / "preprocessor_config.json", _PREPROCESSOR)
    _write_json(converted / "tokenizer.json", _tokeniser())
    # CTranslate2 writes one token a line and escapes; this file is read by people's diffs only.
    names = json.loads((converted / "vocabulary.json").read_text(encoding="utf-8"))
    _write_json(converted / "vocabulary.json", names)
    folder.mkdir(parents=True, exist_ok=True)
    for path in converted.iterdir():
        path.replace(folder / path.name)
    converted.rmdir()


def _write_json(path: Path, content: Any) -> None:
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    path.write_text(text + "\n", encoding="utf-8")


def _specification(params: Params) -> whisper_spec.WhisperSpec:
    spec = whisper_spec.WhisperSpec(
        model.ENCODER_LAYERS, model.ENCODER_HEADS, model.DECODER_LAYERS, model.DECODER_HEADS
    )
    _fill_encoder(spec.encoder, params)
    _fill_decoder(spec.decoder, params)
    tokens = vocabulary.token_strings()
    spec.register_vocabulary(tokens)
    spec.config.suppress_ids = []
    # Whisper also suppresses the end token here. This model must be able to say nothing at once,
    # or it would have to invent a word for silence when it writes no timestamps.
    spec.config.suppress_ids_begin = [tokens.index(vocabulary.SPACE)]
    spec.config.lang_ids = [vocabulary.FIRST_LANGUAGE + i for i in range(len(vocabulary.LANGUAGES))]
    spec.config.alignment_heads = [list(head) for head in _ALIGNMENT_HEADS]
    return spec


def _fill_encoder(encoder: whisper_spec.WhisperEncoderSpec, params: Params) -> None:
    _fill_convolution(encoder.conv1, params["conv1"])
    _fill_convolution(encoder.conv2, params["conv2"])
    encoder.position_encodings.encodings = _array(model.POSITIONS[: model.ENCODER_POSITIONS])
    _fill_norm(encoder.layer_norm, params["encoder_norm"])
    for spec, layer in zip(encoder.layer, params["encoder"], strict=True):
        _fill_self_attention(spec.self_attention, layer)
        _fill_feed_forward(spec.ffn, layer)


def _fill_decoder(decoder: Any, params: Params) -> None:
    # Plain tables: the timestamps' linear maps were only a way to learn them.
    embedding, output = model.tables(params)
    decoder.embeddings.weight = _array(embedding)
    decoder.projection.weight = _array(output)
    decoder.position_encodings.encodings = _array(params["decoder_positions"])
    _fill_norm(decoder.layer_norm, params["decoder_norm"])
    for spec, layer in zip(decoder.layer, params["decoder"], strict=True):
        _fill_self_attention(spec.self_attention, layer)
        _fill_cross_attention(spec.attention, layer)
        _fill_feed_forward(spec.ffn, layer)


def _fill_self_attention(spec: Any, layer: Params) -> None:
    query, key, value = _projections(layer["attention"])
    utils.fuse_linear(spec.linear[0], [query, key, value])
    _fill_linear(spec.linear[1], layer["attention"]["out"])
    _fill_norm(spec.layer_norm, layer["attention_norm"])


def _fill_cross_attention(spec: Any, layer: Params) -> None:
    query, key, value = _projections(layer["cross"])
    utils.fuse_linear(spec.linear[0], [query])
    utils.fuse_linear(spec.linear[1], [key, value])
    _fill_linear(spec.linear[2], layer["cross"]["out"])
    _fill_norm(spec.layer_norm, layer["cross_norm"])


def _projections(attention: Params) -> list[common_spec.LinearSpec]:
    specs = []
    for name in ("query", "key", "value"):
        spec = common_spec.LinearSpec()
        _fill_linear(spec, attention[name])
        specs.append(spec)
    return specs


def _fill_feed_forward(spec: Any, layer: Params) -> None:
    _fill_linear(spec.linear_0, layer["feed_forward"]["up"])
    _fill_linear(spec.linear_1, layer["feed_forward"]["down"])
    _fill_norm(spec.layer_norm, layer["feed_forward_norm"])


def _fill_linear(spec: Any, linear: Params) -> None:
    spec.weight = _array(linear["w"].T)
    if "b" in linear:
        spec.bias = _array(linear["b"])


def _fill_norm(spec: Any, norm: Params) -> None:
    spec.gamma = _array(norm["gain"])
    spec.beta = _array(norm["bias"])


def _fill_convolution(spec: Any, linear: Params) -> None:
    """Turn the matrix (3 · inputs, outputs) into a kernel (outputs, inputs, 3)."""
    weight = linear["w"]
    kernel = weight.reshape(3, -1, weight.shape[1]).transpose(2, 1, 0)
    spec.weight = _array(kernel)
    spec.bias = _array(linear["b"])


def _array(values: Any) -> NDArray[np.float32]:
    """Return a copy: quantising works in place."""
    return np.array(values, np.float32, order="C")


def _tokeniser() -> dict[str, Any]:
    """Return the content of ``tokenizer.json``: byte-level BPE whose words need no merges."""
    tokens = vocabulary.token_strings()
    byte_level = {"type": "ByteLevel", "trim_offsets": True, "use_regex": True}
    added = [
        {
            "id": token,
            "content": tokens[token],
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": token < vocabulary.FIRST_TIMESTAMP,
        }
        for token in range(vocabulary.END, vocabulary.SIZE)
    ]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": byte_level | {"add_prefix_space": False},
        "post_processor": None,
        "decoder": byte_level | {"add_prefix_space": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            # Without it the library would not find a word that no merge builds.
            "ignore_merges": True,
            "vocab": {token: i for i, token in enumerate(tokens[: vocabulary.END])},
            "merges": [],
        },
    }

from dataclasses import replace
from pathlib import Path

import ctranslate2
import numpy as np
import pytest
from tokenizers import Tokenizer

from hack.random_model.build import COMPUTE_TYPES, SHAPES, build_random_model, build_spec
from hack.random_model.vocabulary import LANGUAGES_IN_ORDER, Vocabulary
from whisperfleet.contract.languages import LANGUAGES
from whisperfleet.engine.ctranslate2.models import digest_model

LARGE_V3_HEAD = {"mels": 128, "languages": 100}


@pytest.mark.parametrize(
    ("shape", "mels", "languages"),
    [
        (SHAPES["micro"], 80, 99),
        (SHAPES["tiny"], 80, 99),
        (replace(SHAPES["micro"], **LARGE_V3_HEAD), 128, 100),
    ],
    ids=["micro", "tiny", "micro with the ends of large-v3"],
)
def test_a_built_model_loads_as_a_multilingual_whisper(shape, mels, languages, tmp_path: Path):
    model = ctranslate2.models.Whisper(str(build_random_model(shape, tmp_path)))
    assert model.is_multilingual
    assert (model.n_mels, model.num_languages) == (mels, languages)


@pytest.mark.parametrize("compute_type", COMPUTE_TYPES)
def test_every_compute_type_loads(compute_type: str, tmp_path: Path):
    build_random_model(SHAPES["micro"], tmp_path, compute_type)
    model = ctranslate2.models.Whisper(str(tmp_path), compute_type="float32")
    assert model.compute_type == "float32"


def test_the_same_seed_gives_the_same_files(tmp_path: Path):
    first, again, other = (
        digest_model(build_random_model(SHAPES["micro"], tmp_path / name, seed=seed))
        for name, seed in (("first", 1), ("again", 1), ("other", 2))
    )
    assert first == again != other


@pytest.mark.parametrize(
    ("name", "parameters", "tokens"),
    # The parameters of the published checkpoints.
    [
        ("tiny", 37_760_640, 51865),
        ("base", 72_593_920, 51865),
        ("small", 241_734_912, 51865),
        ("large-v3-turbo", 808_878_080, 51866),
    ],
)
def test_shapes_have_the_sizes_of_the_real_models(name: str, parameters: int, tokens: int):
    shape = SHAPES[name]
    # Two layers tell the size of one: the largest shape is never built whole here.
    least = count(replace(shape, encoder_layers=1, decoder_layers=1))
    encoder_layer = count(replace(shape, encoder_layers=2, decoder_layers=1)) - least
    decoder_layer = count(replace(shape, encoder_layers=1, decoder_layers=2)) - least
    total = (
        least
        + (shape.encoder_layers - 1) * encoder_layer
        + (shape.decoder_layers - 1) * decoder_layer
    )
    assert shape.tokens == tokens
    # CTranslate2 also stores the zeros of the keys' missing biases, and scalars.
    assert total == pytest.approx(parameters, rel=1e-3)


def count(shape) -> int:
    spec = build_spec(shape)
    spec.register_vocabulary([""] * shape.tokens)
    spec.validate()
    weights = {
        name: variable
        for name, variable in spec.variables().items()
        if not name.endswith("_scale") and name != "decoder/projection/weight"
    }
    return sum(variable.numpy().size for variable in weights.values())


def test_tokens_have_the_ids_of_openai(tmp_path: Path):
    build_random_model(SHAPES["micro"], tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    ids = {
        "<|endoftext|>": 50257,
        "<|startoftranscript|>": 50258,
        "<|en|>": 50259,
        "<|su|>": 50357,
        "<|translate|>": 50358,
        "<|transcribe|>": 50359,
        "<|startofprev|>": 50361,
        "<|nospeech|>": 50362,
        "<|notimestamps|>": 50363,
        "<|0.00|>": 50364,
        "<|30.00|>": 51864,
    }
    assert {token: tokenizer.token_to_id(token) for token in ids} == ids
    assert tokenizer.encode("<|en|> hello", add_special_tokens=False).ids[0] == 50259


def test_the_tokenizer_gives_back_any_text(tmp_path: Path):
    build_random_model(SHAPES["micro"], tmp_path)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    text = " Grüße, 世界! aab\n\t🙂"
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False).ids) == text


def test_the_vocabulary_knows_every_language_once():
    assert set(LANGUAGES_IN_ORDER) == LANGUAGES
    tokens = Vocabulary(100).tokens
    assert len(tokens) == len(set(tokens)) == 51866


def test_what_is_unsaid_lets_every_text_have_one_length(tmp_path: Path):
    path = build_random_model(SHAPES["micro"], tmp_path, unsaid=range(50257, 51865))
    model = ctranslate2.models.Whisper(str(path), intra_threads=1)
    features = np.random.default_rng(0).standard_normal((3, 80, 3000), np.float32)
    encoded = model.encode(ctranslate2.StorageView.from_array(features))
    rows = model.generate(encoded, [[50258, 50259, 50359]] * 3, beam_size=2, max_length=80)
    for row in rows:
        (text,) = row.sequences_ids
        assert len(text) == 40
        assert text[0] >= 50364, "a rule wants a timestamp first"
        assert max(text[1:]) < 50257


def test_an_unknown_compute_type_is_refused():
    with pytest.raises(ValueError, match=r"int4.*float16"):
        build_spec(SHAPES["micro"], "int4")

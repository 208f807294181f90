"""What the engine relies on in CTranslate2, and that the tests' stand-in is like it."""

import ctranslate2
import numpy as np
import pytest

from support.engine.fake_forward import START, FakeForward
from whisperfleet.engine.ctranslate2.forward import Forward, from_model, to_model
from whisperfleet.engine.ctranslate2.models import ResolvedModel

PROMPT = [START, 50259, 50359]
SETTINGS = {"max_length": 12, "return_scores": True, "return_no_speech_prob": True}


@pytest.fixture(params=["real", "fake"])
def forward(request: pytest.FixtureRequest, micro_model: ResolvedModel) -> Forward:
    if request.param == "fake":
        return FakeForward()
    return ctranslate2.models.Whisper(str(micro_model.path), intra_threads=1)


@pytest.fixture
def encoded(forward: Forward) -> list[np.ndarray]:
    features = np.zeros((80, 3000), np.float32)
    return from_model(forward.encode(to_model([features, features]), to_cpu=True))


def test_it_describes_itself(forward: Forward):
    assert (forward.device, forward.n_mels, forward.is_multilingual) == ("cpu", 80, True)


def test_rows_come_back_as_arrays_and_can_be_put_together_anew(forward: Forward, encoded):
    assert len(encoded) == 2
    assert encoded[0].shape[0] == 1500
    assert encoded[0].dtype == np.float32
    assert len(forward.detect_language(to_model([encoded[1], encoded[0], encoded[1]]))) == 3


def test_languages_are_ranked(forward: Forward, encoded):
    for ranked in forward.detect_language(to_model(encoded)):
        probabilities = [probability for _, probability in ranked]
        assert probabilities == sorted(probabilities, reverse=True)
        assert all(token.startswith("<|") and token.endswith("|>") for token, _ in ranked)


@pytest.mark.parametrize(
    "strategy",
    [
        {"beam_size": 5, "patience": 1.0},
        {"beam_size": 1, "num_hypotheses": 5, "sampling_topk": 0, "sampling_temperature": 0.4},
    ],
    ids=["searched", "sampled"],
)
def test_a_text_has_tokens_a_score_and_the_chance_of_silence(forward: Forward, encoded, strategy):
    rows = forward.generate(to_model(encoded), [PROMPT, PROMPT], **SETTINGS, **strategy)
    assert len(rows) == 2
    for row in rows:
        assert all(isinstance(token, int) for token in row.sequences_ids[0])
        assert row.scores[0] < 0
        assert 0 <= row.no_speech_prob <= 1


@pytest.mark.parametrize(
    "prompts",
    [[PROMPT, [50361, 7, *PROMPT]], [[7], [8]]],
    ids=["start at two positions", "no start"],
)
def test_prompts_that_cannot_share_a_call_are_refused(forward: Forward, encoded, prompts):
    with pytest.raises(ValueError, match="start"):
        forward.generate(to_model(encoded), prompts, **SETTINGS, beam_size=5)


def test_features_of_another_shape_are_refused(forward: Forward):
    with pytest.raises(ValueError, match="expected"):
        forward.encode(to_model([np.zeros((70, 3000), np.float32)]))


def test_each_token_has_a_place_in_time(forward: Forward, encoded):
    one, two = forward.align(to_model(encoded), PROMPT, [[5, 6, 7], [8]], [100, 200])
    for answer, tokens in ((one, 3), (two, 1)):
        assert {token for token, _ in answer.alignments} == set(range(tokens + 1))
        assert len(answer.text_token_probs) == tokens

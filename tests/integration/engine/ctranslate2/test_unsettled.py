"""One pass a call: who has its text is answered, whose text does not suffice comes back."""

import numpy as np
import pytest

from support.engine.fake_forward import OUT_OF_MEMORY, FakeForward, Row, numbered
from support.engine.fixtures import settle, tokens_of
from whisperfleet.contract.codes import Code
from whisperfleet.engine import Unsettled, WindowResult
from whisperfleet.engine.ctranslate2.loading import load_model
from whisperfleet.engine.ctranslate2.models import ResolvedModel
from whisperfleet.engine.ctranslate2.whisper import WhisperEngine
from whisperfleet.engine.options import DecodingOptions
from whisperfleet.errors import EngineLostError

SAID = Row((50364, 7, 50365))
LOOP = Row((50364, *[7] * 60, 50365))
LOOPING = (1, 3)


def say(number: int, temperature: float) -> Row:
    """Loop on two windows, and on the second of them once more."""
    return LOOP if number in LOOPING and temperature < number / 10 else SAID


def engine_on(forward: FakeForward, model: ResolvedModel, batch_size: int = 8) -> WhisperEngine:
    """Return an engine whose calls into CTranslate2 go to the stand-in."""
    loaded = load_model(model, "cpu", "default", 1)
    loaded.model = forward
    options = DecodingOptions(temperatures=(0.0, 0.2, 0.4), best_of=2)
    return WhisperEngine(loaded, options, batch_size)


def test_the_neighbours_of_a_looping_window_have_their_answers(micro_model: ResolvedModel):
    forward = FakeForward(say=say)
    engine = engine_on(forward, micro_model)
    answers = engine.run([numbered(number, None) for number in range(5)])
    unsettled = [answers[number] for number in LOOPING]
    assert all(isinstance(one, Unsettled) for one in unsettled)
    assert all(isinstance(answers[number], WindowResult) for number in (0, 2, 4))
    assert [one.temperature for one in unsettled] == [0.2, 0.2]
    forward.calls.clear()

    first, second = engine.retry(unsettled)
    assert isinstance(first, WindowResult)
    assert (first.temperature, first.language, tokens_of(engine, first.segments[0])) == (
        0.2,
        "de",
        SAID.tokens,
    )
    assert (second.temperature, second.found.window.request) == (0.4, numbered(3, None).request)
    (second,) = engine.retry([second])
    assert (second.temperature, tokens_of(engine, second.segments[0])) == (0.4, SAID.tokens)
    # It is neither encoded again nor asked for its language.
    assert forward.calls == [("generate", [1, 3]), ("generate", [3])]


def test_the_last_pass_settles_a_window_whatever_it_says(micro_model: ResolvedModel):
    engine = engine_on(FakeForward(say=lambda *_: LOOP), micro_model)
    (answer,) = settle(engine, [numbered(0)])
    assert (answer.temperature, tokens_of(engine, answer.segments[0])) == (0.4, LOOP.tokens)
    assert answer.compression_ratio > DecodingOptions().compression_ratio_threshold


def test_an_unsettled_window_keeps_no_neighbours_encoding(micro_model: ResolvedModel):
    forward = FakeForward(say=say, device="cuda")
    _, unsettled = engine_on(forward, micro_model).run([numbered(0), numbered(1)])
    assert forward.rows_of("encode") == [[0, 1]]
    encoded = unsettled.found.draft.passage.encoded
    assert encoded.base is None
    assert encoded[0, 0] == 1


class FailingLater(FakeForward):
    """Fails on window 1 when that is sampled, and from then on always if it is broken by that."""

    breaks = False
    broken = False

    def generate(self, features, prompts, **options):
        sampled = options["beam_size"] == 1 and 1 in np.asarray(features)[:, 0, 0]
        self.broken |= sampled and self.breaks
        if sampled or self.broken:
            raise self.error
        return super().generate(features, prompts, **options)


def unsettled_on(forward: FakeForward, model: ResolvedModel) -> tuple[WhisperEngine, list]:
    engine = engine_on(forward, model)
    answers = engine.run([numbered(number) for number in LOOPING])
    assert all(isinstance(one, Unsettled) for one in answers)
    return engine, answers


@pytest.mark.parametrize("error", [RuntimeError("an illegal memory access"), ValueError("shape")])
def test_a_window_that_fails_in_a_further_pass_fails_alone(
    micro_model: ResolvedModel, error: Exception
):
    engine, unsettled = unsettled_on(FailingLater(say=say, error=error), micro_model)
    failed, other = engine.retry(unsettled)
    assert (failed.code, failed.__cause__) == (Code.ENGINE_FAILED, error)
    assert isinstance(other, Unsettled)


def test_memory_that_runs_out_in_a_further_pass_leaves_the_text_before(micro_model: ResolvedModel):
    forward = FailingLater(say=say, error=RuntimeError(OUT_OF_MEMORY))
    engine, unsettled = unsettled_on(forward, micro_model)
    answer, _ = engine.retry(unsettled)
    assert (answer.temperature, tokens_of(engine, answer.segments[0])) == (0.0, LOOP.tokens)


def test_a_device_that_breaks_in_a_further_pass_is_lost(micro_model: ResolvedModel):
    forward = FailingLater(say=say, error=RuntimeError("an illegal memory access"))
    engine, unsettled = unsettled_on(forward, micro_model)
    forward.breaks = True
    with pytest.raises(EngineLostError, match="no longer runs on cpu"):
        engine.retry(unsettled)

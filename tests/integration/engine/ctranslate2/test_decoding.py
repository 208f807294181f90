"""The rules of the library's `generate_with_fallback`, applied to many passages at once."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import TranscriptionOptions
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.engine.fake_forward import OUT_OF_MEMORY, START, WIDTH, FakeForward, Row
from whisperfleet.engine.ctranslate2.decoding import Decoder, Draft, Passage
from whisperfleet.engine.ctranslate2.forward import to_model
from whisperfleet.engine.ctranslate2.loading import load_model
from whisperfleet.engine.ctranslate2.models import ResolvedModel
from whisperfleet.engine.ctranslate2.parallel_calls import ParallelCalls
from whisperfleet.engine.ctranslate2.words import WordKeepingModel
from whisperfleet.engine.options import DecodingOptions

PROMPT = (START, 50259, 50359)
TEMPERATURES = (0.0, 0.4, 0.8)
OPTIONS = DecodingOptions(temperatures=TEMPERATURES)
# A text of 26 different letters compresses badly, one of a single letter well.
VARIED = tuple(range(65, 91))
LOOP = (65,) * 60


@pytest.fixture(scope="module")
def library(micro_model: ResolvedModel) -> WordKeepingModel:
    return load_model(micro_model, "cpu", "default", 1)


@pytest.fixture(scope="module")
def tokenizer(library: WordKeepingModel) -> Tokenizer:
    return Tokenizer(library.hf_tokenizer, True, "transcribe", "en")


def passage(number: int, tokenizer: Tokenizer, prompt=PROMPT, limit: int = 224) -> Passage:
    encoded = np.zeros((1500, WIDTH), np.float32)
    encoded[0, 0] = number
    return Passage(encoded, prompt, tokenizer, limit)


def settle(decoder: Decoder, passages):
    """Make passes over them until each has its text, and return those."""
    answers = [Draft(one) for one in passages]
    while left := [at for at, one in enumerate(answers) if isinstance(one, Draft)]:
        for at, answer in zip(left, decoder.decode([answers[at] for at in left]), strict=True):
            answers[at] = answer
    return answers


rows = st.builds(
    Row,
    tokens=st.sampled_from([VARIED, LOOP, VARIED[:3]]),
    # Around the threshold of -1 and on it; a score is a mean over the length, the rule's one more.
    score=st.sampled_from([-0.1, -0.9, -1.0, -1.05, -1.5, -3.0]),
    no_speech_prob=st.sampled_from([0.0, 0.6, 0.7]),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(texts=st.lists(st.tuples(rows, rows, rows), min_size=1, max_size=6))
def test_each_passage_ends_where_the_library_would_end_it(library, tokenizer, texts):
    forward = FakeForward(say=lambda number, at: texts[number][TEMPERATURES.index(at)])
    decoder = Decoder(forward, OPTIONS, (), 448, batch_size=4)
    answers = settle(decoder, [passage(number, tokenizer) for number in range(len(texts))])

    library.model = forward
    for number, answer in enumerate(answers):
        one = passage(number, tokenizer)
        encoded = FakeForward().encode(_features(number))
        row, logprob, temperature, ratio = library.generate_with_fallback(
            encoded, list(one.prompt), tokenizer, _library_options()
        )
        assert answer.tokens == tuple(row.sequences_ids[0])
        assert answer.avg_logprob == pytest.approx(logprob)
        assert (answer.temperature, answer.compression_ratio) == (temperature, ratio)
        assert answer.no_speech_prob == row.no_speech_prob


def _features(number: int):
    return to_model([np.full((80, 3000), number, np.float32)])


def _library_options() -> TranscriptionOptions:
    return TranscriptionOptions(
        beam_size=5, best_of=5, patience=1, length_penalty=1, repetition_penalty=1,
        no_repeat_ngram_size=0, log_prob_threshold=-1.0, no_speech_threshold=0.6,
        compression_ratio_threshold=2.4, temperatures=list(TEMPERATURES), suppress_blank=True,
        suppress_tokens=[], max_initial_timestamp=1.0, max_new_tokens=None,
        condition_on_previous_text=False, prompt_reset_on_temperature=0.5, initial_prompt=None,
        prefix=None, without_timestamps=False, word_timestamps=False, prepend_punctuations="",
        append_punctuations="", multilingual=False, clip_timestamps="0",
        hallucination_silence_threshold=None, hotwords=None,
    )  # fmt: skip


def test_only_what_fails_goes_on_to_the_next_temperature(tokenizer: Tokenizer):
    def say(number: int, temperature: float) -> Row:
        return Row(LOOP if number in (1, 3) and temperature < 0.8 else VARIED)

    forward = FakeForward(say=say)
    decoder = Decoder(forward, OPTIONS, (), 448, batch_size=20)
    answers = settle(decoder, [passage(number, tokenizer) for number in range(5)])
    assert [answer.temperature for answer in answers] == [0.0, 0.8, 0.0, 0.8, 0.0]
    assert forward.rows_of("generate") == [[0, 1, 2, 3, 4], [1, 3], [1, 3]]


def test_sampling_takes_smaller_batches_because_each_row_is_several(tokenizer: Tokenizer):
    forward = FakeForward(say=lambda _, at: Row(LOOP if at == 0 else VARIED))
    decoder = Decoder(forward, OPTIONS, (), 448, batch_size=10)
    settle(decoder, [passage(number, tokenizer) for number in range(10)])
    assert [len(rows) for rows in forward.rows_of("generate")] == [10, 2, 2, 2, 2, 2]


def test_a_draft_goes_on_with_the_texts_that_it_has(tokenizer: Tokenizer):
    texts = {0.0: Row(LOOP), 0.4: Row(VARIED, -1.5), 0.8: Row(VARIED, -1.2)}
    decoder = Decoder(FakeForward(say=lambda _, at: texts[at]), OPTIONS, (), 448, batch_size=8)
    (draft,) = decoder.decode([Draft(passage(1, tokenizer))])
    assert [text.tokens for text in draft.texts] == [LOOP]
    assert decoder.temperature(draft) == 0.4
    (draft,) = decoder.decode([draft])
    assert [text.temperature for text in draft.texts] == [0.0, 0.4]
    (answer,) = decoder.decode([draft])
    assert (answer.tokens, answer.temperature) == (VARIED, 0.8)


def test_drafts_of_different_temperatures_share_no_call(tokenizer: Tokenizer):
    forward = FakeForward(say=lambda *_: Row(LOOP))
    decoder = Decoder(forward, OPTIONS, (), 448, batch_size=20)
    new = [Draft(passage(number, tokenizer)) for number in range(4)]
    again = decoder.decode(new[:3])
    third = decoder.decode(again[:1])
    forward.calls.clear()
    answers = decoder.decode([new[3], again[1], *third, again[2]])
    assert forward.rows_of("generate") == [[3], [1, 2], [0]]
    assert [len(draft.texts) for draft in (answers[0], answers[1], answers[3])] == [1, 2, 2]
    assert answers[2].temperature == 0.8


def test_a_retry_brings_a_call_for_each_parallel_call():
    sizes = {
        (batch, calls): Decoder(
            FakeForward(), OPTIONS, (), 448, batch, ParallelCalls(calls)
        ).retry_size
        for batch, calls in [(32, 1), (8, 1), (8, 2), (2, 4)]
    }
    assert sizes == {(32, 1): 6, (8, 1): 1, (8, 2): 2, (2, 4): 4}


def test_what_cannot_share_a_call_does_not(tokenizer: Tokenizer):
    kinds = {
        1: passage(1, tokenizer),
        2: passage(2, tokenizer, (50361, 7, *PROMPT)),
        3: passage(3, tokenizer, limit=56),
        4: passage(4, tokenizer),
        5: passage(5, tokenizer, (50361, 8, *PROMPT)),
    }
    forward = FakeForward(say=lambda number, _: Row((number,)))
    answers = settle(Decoder(forward, OPTIONS, (), 448, batch_size=8), list(kinds.values()))
    assert [answer.tokens for answer in answers] == [(number,) for number in kinds]
    assert forward.rows_of("generate") == [[1, 4], [2, 5], [3]]
    assert [options["max_length"] for options in forward.options] == [448, 448, 112]


def test_a_poison_passage_fails_alone(tokenizer: Tokenizer):
    forward = FakeForward(poison={"generate": 2})
    answers = settle(
        Decoder(forward, OPTIONS, (), 448, batch_size=8),
        [passage(number, tokenizer) for number in range(6)],
    )
    assert [isinstance(answer, RuntimeError) for answer in answers] == [
        number == 2 for number in range(6)
    ]


def test_the_batch_is_halved_when_memory_runs_out_and_stays_so(tokenizer: Tokenizer):
    forward = FakeForward(fits={"generate": 5})
    decoder = Decoder(forward, OPTIONS, (), 448, batch_size=16)
    passages = [passage(number, tokenizer) for number in range(16)]
    assert all(answer.tokens for answer in settle(decoder, passages))
    assert decoder.batch_size == 4
    forward.calls.clear()
    settle(decoder, passages)
    assert [len(rows) for rows in forward.rows_of("generate")] == [4, 4, 4, 4]


def test_a_rehearsal_takes_the_end_of_the_text_away(tokenizer: Tokenizer):
    forward = FakeForward(fits={"generate": 3})
    decoder = Decoder(forward, OPTIONS, (1, 2), 448, batch_size=8)
    decoder.rehearse([passage(number, tokenizer) for number in range(8)])
    assert {tuple(one["suppress_tokens"]) for one in forward.options} == {(1, 2, tokenizer.eot)}
    assert decoder.batch_size == 2


def test_sampling_is_rehearsed_too(tokenizer: Tokenizer):
    forward = FakeForward(fits={"generate": 3})
    decoder = Decoder(forward, replace(OPTIONS, best_of=1), (), 448, batch_size=8)
    passages = [passage(number, tokenizer) for number in range(8)]
    decoder.rehearse(passages)
    forward.say = lambda _, at: Row(LOOP if at == 0 else VARIED)
    forward.calls.clear()
    settle(decoder, passages)
    assert [len(rows) for rows in forward.rows_of("generate")] == [2] * 8


def test_passages_that_share_no_call_run_side_by_side(tokenizer: Tokenizer):
    """As those of sequential jobs, whose prompts are all of different lengths."""
    together = threading.Barrier(3, timeout=30)

    def say(number: int, _temperature: float) -> Row:
        together.wait()
        return Row((number,))

    passages = [passage(n, tokenizer, (50361, *[7] * n, *PROMPT)) for n in range(1, 4)]
    decoder = Decoder(FakeForward(say=say), OPTIONS, (), 448, 8, ParallelCalls(3))
    assert [answer.tokens for answer in settle(decoder, passages)] == [(1,), (2,), (3,)]


class Failing(FakeForward):
    """Fails on the first window when that is sampled at 0.8."""

    def generate(self, features, prompts, **options):
        if options.get("sampling_temperature") == 0.8 and 0 in np.asarray(features)[:, 0, 0]:
            raise self.error
        return super().generate(features, prompts, **options)


def test_memory_that_runs_out_at_a_later_try_leaves_the_earlier_texts(tokenizer: Tokenizer):
    scores = {0.0: -1.5, 0.4: -1.2, 0.8: -0.1}
    forward = Failing(say=lambda _, at: Row(VARIED, scores[at]), error=RuntimeError(OUT_OF_MEMORY))
    answers = settle(
        Decoder(forward, OPTIONS, (), 448, 8), [passage(number, tokenizer) for number in range(2)]
    )
    best, other = answers
    assert best.avg_logprob == pytest.approx(-1.2 * len(VARIED) / (len(VARIED) + 1))
    assert best.temperature == 0.4
    assert other.temperature == 0.8


def test_another_failure_at_a_later_try_is_the_answer(tokenizer: Tokenizer):
    error = RuntimeError("CUDA failed with error an illegal memory access")
    forward = Failing(say=lambda *_: Row(VARIED, -1.5), error=error)
    (answer,) = settle(Decoder(forward, OPTIONS, (), 448, 8), [passage(0, tokenizer)])
    assert answer is error

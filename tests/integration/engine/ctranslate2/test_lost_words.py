"""Which tokens of a window become words, and which do not: the ways in which text can be lost.

`<2>` is the timestamp of two seconds, a letter is text. The model's rules let a text begin with a
timestamp only, and close a segment only later than it began; the rest can come.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from faster_whisper.tokenizer import Tokenizer

from support.engine.fake_forward import WIDTH, FakeForward, Row, numbered
from support.engine.fixtures import settle
from whisperfleet.contract.job import Task
from whisperfleet.engine import WindowRequest
from whisperfleet.engine.ctranslate2.decoding import Passage
from whisperfleet.engine.ctranslate2.features import MelWindow
from whisperfleet.engine.ctranslate2.loading import load_model
from whisperfleet.engine.ctranslate2.models import ResolvedModel
from whisperfleet.engine.ctranslate2.segments import split
from whisperfleet.engine.ctranslate2.tokens import to_tokens
from whisperfleet.engine.ctranslate2.whisper import WhisperEngine
from whisperfleet.engine.ctranslate2.words import WordKeepingModel
from whisperfleet.engine.options import DecodingOptions

FIRST_TIMESTAMP = 50364
OPTIONS = DecodingOptions(temperatures=(0.0,))


@pytest.fixture(scope="module")
def model(micro_model: ResolvedModel) -> WordKeepingModel:
    loaded = load_model(micro_model, "cpu", "default", 1)
    loaded.model = FakeForward()
    return loaded


def tokens(text: str) -> tuple[int, ...]:
    """Return the tokens of ``<0> A <2><2> B``."""
    parts = text.replace("<", " <").replace(">", "> ").split()
    return tuple(
        FIRST_TIMESTAMP + round(float(part[1:-1]) * 50) if part.startswith("<") else ord(part)
        for part in parts
    )


@dataclass(frozen=True)
class Said:
    """What is left of some tokens."""

    text: str
    times: list[tuple[float, float]]
    consumed_seconds: float


def said(model: WordKeepingModel, text: str, seconds: float = 30, words: bool = False) -> Said:
    tokenizer = Tokenizer(model.hf_tokenizer, True, "transcribe", "en")
    request = WindowRequest("en", Task.TRANSCRIBE, word_timestamps=words)
    window = MelWindow(np.zeros((80, int(seconds * 100)), np.float32), request, "en")
    passage = Passage(np.zeros((1500, WIDTH), np.float32), (50258,), tokenizer, 224)
    segments, consumed = split(model, OPTIONS, window, passage, tokens(text))
    texts = [
        "".join(chr(one) for one in to_tokens(part.pieces, tokenizer) if one < 50257)
        for part in segments
    ]
    return Said(" ".join(texts), [(one.start, one.end) for one in segments], consumed / 100)


@pytest.mark.parametrize("words", [False, True], ids=["segments", "words"])
@pytest.mark.parametrize(
    ("text", "seconds", "kept"),
    [
        ("<0> A <2><2> B <5>", 30, "A B"),
        ("<0> A <2><2> B <5><5>", 30, "A B"),
        ("<0> A B", 30, "AB"),
        ("<0> A <2>", 30, "A"),
        ("<0> A <2><2> B <7>", 5, "A B"),
        ("<6> A <7><7> B <9>", 5, "A B"),
        ("<1> A <30><30>", 30, "A"),
    ],
    ids=["pause", "closed", "open", "one", "ends beyond", "begins beyond", "to the end"],
)
def test_all_of_these_texts_are_kept(
    model: WordKeepingModel, text: str, seconds: float, kept: str, words: bool
):
    assert said(model, text, seconds, words).text == kept


def test_a_last_segment_without_an_end_is_left_to_who_reads_on_from_there(model: WordKeepingModel):
    left = said(model, "<0> A <2><2> B C")
    assert left == Said("A", [(0.0, 2.0)], consumed_seconds=2.0)


def test_a_segment_without_length_would_be_lost_and_what_follows_it_is_not(model: WordKeepingModel):
    """CTranslate2 allows no end that is not after the beginning, so no model says this."""
    assert said(model, "<0> A <2><2> B <2><2> C <4>").text == "A C"


def test_a_text_that_has_no_end_ends_with_its_window(model: WordKeepingModel):
    """The library takes the timestamp that it began with for its end: before all of its words."""
    assert said(model, "<1> A B") == Said("AB", [(0.0, 30.0)], consumed_seconds=30.0)
    assert said(model, "A B") == Said("AB", [(0.0, 30.0)], consumed_seconds=30.0)


def engine_that_says(text: str, model: ResolvedModel, **row) -> WhisperEngine:
    loaded = load_model(model, "cpu", "default", 1)
    loaded.model = FakeForward(say=lambda *_: Row(tokens(text), **row))
    return WhisperEngine(loaded, OPTIONS)


def test_the_text_of_a_window_that_counts_as_silent_is_dropped(micro_model: ResolvedModel):
    """However much was said: by the reference's rule, and without a try at another temperature."""
    engine = engine_that_says("<0> A B C <2>", micro_model, score=-1.5, no_speech_prob=0.7)
    (answer,) = settle(engine, [numbered(0)])
    assert (answer.silent, answer.segments, answer.consumed_frames) == (True, (), 3000)

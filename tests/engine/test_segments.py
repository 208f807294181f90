"""Words are moved on the window's clock as the library moves them on the file's."""

from types import SimpleNamespace

import numpy as np
import pytest
from faster_whisper.tokenizer import Tokenizer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.fake_forward import WIDTH, FakeForward
from whisperfleet.engine import Window, WindowRequest
from whisperfleet.engine.decoding import Passage
from whisperfleet.engine.forward import to_model
from whisperfleet.engine.loading import load_model
from whisperfleet.engine.models import ResolvedModel
from whisperfleet.engine.options import DecodingOptions
from whisperfleet.engine.segments import split
from whisperfleet.engine.words import WordKeepingModel

OPTIONS = DecodingOptions()
FIRST_TIMESTAMP = 50364
OFFSET_FRAMES = 6000
WORDS = (" one", " two", " three", " four", " five", " six")


@pytest.fixture(scope="module")
def library(micro_model: ResolvedModel) -> WordKeepingModel:
    return load_model(micro_model, "cpu", "default", 1)


class Timed(FakeForward):
    """Aligns the tokens so that each takes as many steps of 20 ms as it is told."""

    steps: tuple[int, ...] = ()

    def align(self, _features, _start, text_tokens, _frames, **_):
        (tokens,) = text_tokens
        times = np.cumsum([0, *(self.steps[i % len(self.steps)] for i in range(len(tokens)))])
        pairs = [(index, int(time)) for index, time in enumerate(times)]
        return [SimpleNamespace(alignments=pairs, text_token_probs=[0.5] * len(tokens))]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    steps=st.lists(st.integers(0, 120), min_size=1, max_size=12).map(tuple),
    begin=st.integers(0, 100),
    words=st.integers(1, len(WORDS)),
    paused=st.floats(0.0, 20.0),
)
def test_a_word_is_where_the_library_has_it_but_never_before_its_window(
    library: WordKeepingModel, steps: tuple[int, ...], begin: int, words: int, paused: float
):
    tokenizer = Tokenizer(library.hf_tokenizer, True, "transcribe", "en")
    text = [token for word in WORDS[:words] for token in tokenizer.encode(word)]
    tokens = (FIRST_TIMESTAMP + begin, *text, FIRST_TIMESTAMP + 1500)
    library.model = forward = Timed()
    forward.steps = steps
    encoded = np.zeros((1500, WIDTH), np.float32)

    features = np.zeros((80, 3000), np.float32)
    request = WindowRequest("en", word_timestamps=True)
    window = Window(features, request, "en", last_speech_end=-paused)
    passage = Passage(encoded, (50258,), tokenizer, 224)
    segments, consumed = split(library, OPTIONS, window, passage, tokens)

    offset = OFFSET_FRAMES / 100
    pieces, _, _ = library._split_segments_by_timestamps(
        tokenizer, list(tokens), offset, 3000, 30.0, OFFSET_FRAMES
    )
    library.add_word_timestamps(
        [pieces],
        tokenizer,
        to_model([encoded]),
        3000,
        OPTIONS.prepend_punctuations,
        OPTIONS.append_punctuations,
        offset - paused,
    )
    mine = [(word.text, word.start, word.end) for one in segments for word in one.words or ()]
    theirs = [
        (word["word"], max(0.0, word["start"] - offset), word["end"] - offset)
        for piece in pieces
        for word in piece["words"]
    ]
    assert [word for word, *_ in mine] == [word for word, *_ in theirs]
    assert np.array([times for _, *times in mine]) == pytest.approx(
        np.array([times for _, *times in theirs]), abs=0.011
    )
    assert consumed == 3000

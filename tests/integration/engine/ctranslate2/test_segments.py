"""Words are moved as the library moves them, and segments divided where audio was left out."""

from types import SimpleNamespace

import numpy as np
import pytest
from faster_whisper.tokenizer import Tokenizer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.engine.fake_forward import WIDTH, FakeForward
from whisperfleet.engine import WindowRequest
from whisperfleet.engine.ctranslate2.decoding import Passage
from whisperfleet.engine.ctranslate2.features import MelWindow
from whisperfleet.engine.ctranslate2.forward import to_model
from whisperfleet.engine.ctranslate2.loading import load_model
from whisperfleet.engine.ctranslate2.models import ResolvedModel
from whisperfleet.engine.ctranslate2.segments import split
from whisperfleet.engine.ctranslate2.words import WordKeepingModel
from whisperfleet.engine.options import DecodingOptions

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
    alignments: int = 0

    def align(self, _features, _start, text_tokens, _frames, **_):
        self.alignments += 1
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
    window = MelWindow(features, request, "en", last_speech_end=-paused)
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
    if theirs[-1][2] > 30.5:
        # Beyond its segment, and so no word's time.
        theirs = [(word, min(start, 30.0), min(end, 30.0)) for word, start, end in theirs]
    assert [word for word, *_ in mine] == [word for word, *_ in theirs]
    assert np.array([times for _, *times in mine]) == pytest.approx(
        np.array([times for _, *times in theirs]), abs=0.011
    )
    assert consumed == 3000


class Speaker:
    """Says a word each second, in segments between two of them."""

    def __init__(self, library: WordKeepingModel) -> None:
        self.library = library
        self.forward = Timed()

    def say(
        self, *cues: tuple[int, int], words=WORDS, lengths=(50,) * 6, seams=(), asked: bool = False
    ):
        """Return the segments of cues from one word to another, and what they consumed.

        A word is `lengths` steps of 20 ms long, a second unless it is said.
        """
        self.library.model = self.forward
        tokenizer = Tokenizer(self.library.hf_tokenizer, True, "transcribe", "en")
        tokens, steps = [], []
        for first, last in cues:
            tokens.append(FIRST_TIMESTAMP + 50 * first)
            for word, length in zip(words[first:last], lengths[first:last], strict=True):
                text = tokenizer.encode(word)
                tokens += text
                steps += [length, *(0 for _ in text[1:])]
            tokens.append(FIRST_TIMESTAMP + 50 * last)
        self.forward.steps = tuple(steps)
        window = MelWindow(
            np.zeros((80, 3000), np.float32),
            WindowRequest("en", word_timestamps=asked),
            "en",
            seams=tuple(seams),
        )
        passage = Passage(np.zeros((1500, WIDTH), np.float32), (50258,), tokenizer, 224)
        return split(self.library, OPTIONS, window, passage, tokens)


@pytest.fixture
def speaker(library: WordKeepingModel) -> Speaker:
    return Speaker(library)


def texts(segments) -> list[tuple[float, float, str]]:
    return [(one.start, one.end, one.text) for one in segments]


@pytest.mark.parametrize("asked", [False, True], ids=["segments", "words"])
def test_a_segment_is_divided_where_audio_was_left_out(speaker: Speaker, asked: bool):
    plain, consumed = speaker.say((0, 6), asked=asked)
    assert texts(plain) == [(0, 6, " one two three four five six")]
    divided, consumed_then = speaker.say((0, 6), seams=(2, 5), asked=asked)
    assert texts(divided) == [(0, 2, " one two"), (2, 5, " three four five"), (5, 6, " six")]
    assert consumed_then == consumed == 3000
    if asked:
        words = [word for one in divided for word in one.words]
        assert words == list(plain[0].words)
    else:
        assert all(one.words is None for one in divided)


@pytest.mark.parametrize(("asked", "consumed"), [(False, 400), (True, 380)])
def test_a_seam_does_not_change_what_is_consumed(speaker: Speaker, asked: bool, consumed: int):
    # A doubled timestamp at the end, and a last word that ends before it.
    lengths = (50, 50, 50, 40)
    for seams in ((), (2.0,)):
        _, found = speaker.say((0, 4), (4, 4), lengths=lengths, seams=seams, asked=asked)
        assert found == consumed


def test_the_tokens_of_a_divided_segment_are_there_once(speaker: Speaker):
    plain, _ = speaker.say((0, 6))
    divided, _ = speaker.say((0, 6), seams=(3,))
    assert [one.pieces for one in divided] == [plain[0].pieces, ()]


@pytest.mark.parametrize(("seam", "before"), [(2.6, " one two three"), (2.4, " one two")])
def test_a_word_is_where_its_middle_is(speaker: Speaker, seam: float, before: str):
    divided, _ = speaker.say((0, 6), seams=(seam,))
    assert [one.text for one in divided] == [before, " one two three four five six"[len(before) :]]


@pytest.mark.parametrize("seam", [0.0, 0.25, 5.75, 6.0, 7.0])
def test_nothing_is_divided_by_less_than_timestamps_are_inexact(speaker: Speaker, seam: float):
    # The first and the last word are two tenths of a second long.
    lengths = (10, 90, 50, 50, 90, 10)
    undivided, _ = speaker.say((0, 6), lengths=lengths, seams=(seam,))
    assert (undivided, 3000) == speaker.say((0, 6), lengths=lengths)
    assert speaker.forward.alignments == 0
    divided, _ = speaker.say((0, 6), lengths=lengths, seams=sorted((3.0, seam)))
    assert [one.text for one in divided] == [" one two three", " four five six"]


@pytest.mark.parametrize("asked", [False, True], ids=["segments", "words"])
def test_a_last_word_is_not_stretched_over_what_the_text_left_unread(speaker: Speaker, asked: bool):
    # The text stops after four seconds; the alignment gives its last word six more.
    segments, consumed = speaker.say((0, 4), (4, 4), lengths=(50, 50, 50, 350), asked=asked)
    assert consumed == 400
    assert texts(segments) == [(0, 4, " one two three four")]
    if asked:
        assert [(word.start, word.end) for word in segments[0].words[-2:]] == [(2, 3), (3, 4)]


def test_a_last_word_that_begins_late_ends_with_its_segment(speaker: Speaker):
    segments, consumed = speaker.say((0, 4), (4, 4), lengths=(50, 50, 150, 200), asked=True)
    assert consumed == 400
    assert [(word.start, word.end) for word in segments[0].words[-2:]] == [(2, 4), (4, 4)]


def test_a_segment_whose_words_are_all_later_stays_whole(speaker: Speaker):
    # The alignment gives the first text eight seconds, its timestamp four.
    lengths = (100, 100, 100, 100, 50, 50)
    segments, _ = speaker.say((0, 4), (4, 6), lengths=lengths, seams=(5,))
    assert texts(segments) == [(0, 4, " one two three four"), (4, 6, " five six")]


def test_a_last_word_may_end_a_little_after_its_segment(speaker: Speaker):
    segments, consumed = speaker.say((0, 4), (4, 4), lengths=(50, 50, 50, 70), asked=True)
    assert segments[0].words[-1].end == segments[0].end == pytest.approx(4.4)
    assert consumed == 440


def test_only_what_spans_a_seam_is_divided(speaker: Speaker):
    plain, _ = speaker.say((0, 2), (2, 6))
    first, *rest = speaker.say((0, 2), (2, 6), seams=(4,))[0]
    assert first == plain[0]
    assert texts(rest) == [(2, 4, " three four"), (4, 6, " five six")]


@pytest.mark.parametrize("seam", [4.6, 4.95, 4.99])
def test_a_word_that_ends_just_behind_a_seam_was_said_before_it(speaker: Speaker, seam: float):
    divided, _ = speaker.say((0, 6), seams=(seam,), lengths=(50, 50, 50, 50, 50, 0))
    before = [word for word in ("five", "six") if seam > 4.9 or word == "five"]
    assert divided[0].text.split()[4:] == before
    assert [one.text for one in divided[1:]] == ([] if seam > 4.9 else [" six"])


def test_a_segment_whose_word_is_the_one_befores_stays_whole(speaker: Speaker):
    # Without a space between, the library takes both for one word and gives it to the first.
    segments, _ = speaker.say((0, 1), (1, 2), words=(" one", "two"), seams=(1.5,))
    assert [one.text for one in segments] == [" one", "two"]

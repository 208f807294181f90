import json
import math
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from faster_whisper import WhisperModel

from hack.random_model.build import SHAPES, build_random_model
from support.engine.fake_forward import OUT_OF_MEMORY, FakeForward, Row, numbered
from support.engine.fixtures import AS_THE_LIBRARY, mel_window, settle, tokens_of
from support.engine.synthetic import babble
from whisperfleet.contract.codes import Code
from whisperfleet.contract.job import Task
from whisperfleet.contract.languages import LANGUAGES
from whisperfleet.engine import WindowRequest, WindowResult
from whisperfleet.engine.ctranslate2.features import MelWindow
from whisperfleet.engine.ctranslate2.loading import load_model
from whisperfleet.engine.ctranslate2.models import ResolvedModel, resolve_model
from whisperfleet.engine.ctranslate2.whisper import WhisperEngine
from whisperfleet.engine.options import DecodingOptions
from whisperfleet.errors import (
    DeviceUnavailableError,
    EngineLostError,
    JobError,
    TransientError,
)
from whisperfleet.segmentation.pcm import to_float


def window(
    seconds: float = 1.0, seed: int = 0, language: str | None = "en", **request
) -> MelWindow:
    return mel_window(babble(seconds, seed), WindowRequest(language, **request), language)


@pytest.fixture(scope="module")
def quick(micro_model: ResolvedModel) -> WhisperEngine:
    """An engine whose short windows are short work."""
    options = DecodingOptions(temperatures=(0.0,))
    return WhisperEngine.load(micro_model, "cpu", cpu_threads=1, options=options)


def recognise(engine: WhisperEngine, one: MelWindow) -> WindowResult:
    (answer,) = settle(engine, [one])
    assert isinstance(answer, WindowResult), answer
    return answer


@pytest.mark.parametrize("words", [False, True], ids=["segments", "words"])
@pytest.mark.parametrize("task", list(Task))
def test_one_window_is_what_the_library_makes_of_it(
    engine: WhisperEngine, library: WhisperModel, task: Task, words: bool, monkeypatch
):
    # The library stretches a last word over what its text left unread.
    monkeypatch.setattr("whisperfleet.engine.ctranslate2.segments._LATE_WORD_SECONDS", math.inf)
    audio = babble(30.0, seed=3)
    expected, _ = library.transcribe(
        to_float(audio), "de", task.value, temperature=0.0, word_timestamps=words
    )
    # The library goes on after the last closed segment; one window is what is compared.
    expected = [segment for segment in expected if segment.seek == 0]
    request = WindowRequest("de", task, word_timestamps=words)
    answer = recognise(engine, mel_window(audio, request, "de"))
    assert expected
    assert [list(tokens_of(engine, one)) for one in answer.segments] == [
        one.tokens for one in expected
    ]
    assert [one.text for one in answer.segments] == [one.text for one in expected]
    for mine, theirs in zip(answer.segments, expected, strict=True):
        assert (mine.start, mine.end) == pytest.approx((theirs.start, theirs.end))
        assert [(w.start, w.end, w.text) for w in mine.words or ()] == [
            (w.start, w.end, w.word) for w in theirs.words or ()
        ]
    assert answer.avg_logprob == pytest.approx(expected[0].avg_logprob, rel=1e-4)
    assert answer.compression_ratio == expected[0].compression_ratio
    assert (answer.language, answer.language_probability) == ("de", 1.0)


def test_the_task_changes_the_answer(quick: WhisperEngine):
    answers = [recognise(quick, window(task=task)) for task in Task]
    assert answers[0].segments != answers[1].segments


def test_the_prompt_and_the_previous_text_are_heard(quick: WhisperEngine):
    plain = window()
    prompted = window(prompt="Aab and cde")
    continued = replace(plain, previous_tokens=(300, 301, 302))
    answers = [recognise(quick, one).segments for one in (plain, prompted, continued)]
    assert answers[0] != answers[1] != answers[2] != answers[0]


def test_only_the_last_223_tokens_of_the_text_before_count(quick: WhisperEngine):
    recent = tuple(range(300, 523))
    long = replace(window(), previous_tokens=(7,) * 500 + recent)
    short = replace(window(), previous_tokens=recent)
    assert recognise(quick, long).segments == recognise(quick, short).segments


def test_the_language_is_detected_as_the_library_does(engine: WhisperEngine, library: WhisperModel):
    one = window(30.0, language=None)
    answer = recognise(engine, one)
    language, probability, _ = library.detect_language(features=one.features)
    assert answer.language == language
    assert answer.language_probability == pytest.approx(probability, rel=1e-4)


def test_windows_of_all_kinds_share_a_call_and_keep_their_places(engine: WhisperEngine):
    mixed = [
        window(12.0, seed=1),
        window(seed=2, language="tlh"),
        window(seed=3, language="fr", task=Task.TRANSLATE, word_timestamps=True),
        window(seed=4, language=None),
        window(12.0, seed=5, prompt="Aab"),
        window(12.0, seed=6, language="de"),
        replace(window(), features=np.zeros((80, 0), np.float32)),
    ]
    together = engine.run(mixed)
    assert isinstance(together[1], JobError)
    assert together[6].segments == ()
    for one, answer in zip(mixed, together, strict=True):
        if isinstance(answer, WindowResult):
            assert_same(answer, recognise(engine, one))


def assert_same(one: WindowResult, other: WindowResult) -> None:
    """Compare words and decisions exactly, numbers as closely as sums in any order are."""
    assert one.segments == other.segments
    assert (one.language, one.consumed_frames) == (other.language, other.consumed_frames)
    assert (one.temperature, one.compression_ratio) == (other.temperature, other.compression_ratio)
    numbers = [(a.avg_logprob, a.no_speech_prob, a.language_probability) for a in (one, other)]
    assert numbers[0] == pytest.approx(numbers[1], rel=1e-4)


def test_it_says_which_languages_the_model_has(quick: WhisperEngine):
    assert quick.capabilities.languages == LANGUAGES - {"yue"}


def test_an_english_model_has_english_alone(micro_model: ResolvedModel, tmp_path: Path):
    english = english_only(micro_model, tmp_path)
    assert english.capabilities.languages == {"en"}
    detected = recognise(english, window(language=None))
    assert (detected.language, detected.language_probability) == ("en", 1.0)


def english_only(model: ResolvedModel, path: Path) -> WhisperEngine:
    """Return an engine on a model that CTranslate2 takes for English, as it takes the demo's."""
    for file in model.path.iterdir():
        (path / file.name).write_bytes(file.read_bytes())
    vocabulary = path / "vocabulary.json"
    tokens = json.loads(vocabulary.read_text())
    tokens[tokens.index("")] = "filler"
    vocabulary.write_text(json.dumps(tokens))
    return WhisperEngine.load(resolve_model(str(path)), "cpu", cpu_threads=1)


def test_128_mels_and_the_hundredth_language(tmp_path: Path):
    shape = replace(SHAPES["micro"], mels=128, languages=100)
    model = resolve_model(str(build_random_model(shape, tmp_path)))
    large = WhisperEngine.load(model, "cpu", cpu_threads=1)
    assert large.mels == 128
    assert "yue" in large.capabilities.languages
    answer = recognise(large, mel_window(babble(2.0), WindowRequest("yue"), "yue", 128))
    assert answer.language == "yue"


@pytest.mark.parametrize("language", [None, "en"])
def test_a_window_without_frames_has_no_words(quick: WhisperEngine, language: str | None):
    empty = MelWindow(np.zeros((80, 0), np.float32), WindowRequest(), language)
    answer = recognise(quick, empty)
    assert answer.segments == ()
    assert answer.consumed_frames == 0


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_the_shortest_windows_are_recognised(quick: WhisperEngine, frames: int):
    features = mel_window(babble(1.0), WindowRequest()).features[:, :frames]
    answer = recognise(quick, MelWindow(features, WindowRequest(word_timestamps=True), "en"))
    assert answer.language == "en"


@pytest.mark.parametrize("prompt", [None, "aab " * 60], ids=["no prompt", "long prompt"])
@pytest.mark.parametrize(
    ("seconds", "limit"), [(1.0, 56), (1.6, 56), (2.5, 112), (6.0, 224), (30.0, 224)]
)
def test_a_loop_ends_at_the_bound_of_the_window(
    micro_model: ResolvedModel, seconds: float, limit: int, prompt: str | None
):
    # Random weights do not end a text by themselves once the end token is out of reach.
    options = DecodingOptions(beam_size=1, temperatures=(0.0,))
    model = load_model(micro_model, "cpu", "default", 1)
    endless = Endless(model.model, model.hf_tokenizer.token_to_id("<|endoftext|>"))
    model.model = endless
    recognise(WhisperEngine(model, options), window(seconds, prompt=prompt))
    length = len(endless.generated[0].sequences_ids[0])
    # Timestamps may leave nothing else to say before the bound is reached, but never after it.
    assert limit - 2 <= length <= limit


class Endless:
    """A model that cannot end a text."""

    def __init__(self, model, end: int) -> None:
        self.model = model
        self.end = end
        self.generated = []

    def __getattr__(self, name):
        return getattr(self.model, name)

    def generate(self, *args, **kwargs):
        kwargs["suppress_tokens"] = [*kwargs["suppress_tokens"], self.end]
        self.generated += self.model.generate(*args, **kwargs)
        return self.generated[-1:]


def test_the_bound_does_not_touch_longer_windows(quick: WhisperEngine, micro_model: ResolvedModel):
    free = WhisperEngine.load(micro_model, "cpu", cpu_threads=1, options=AS_THE_LIBRARY)
    one = window(4.1)
    assert quick.run([one]) == free.run([one])


def engine_on(
    forward: FakeForward, model: ResolvedModel, batch_size: int = 8, **options
) -> WhisperEngine:
    """Return an engine whose calls into CTranslate2 go to the stand-in."""
    loaded = load_model(model, "cpu", "default", 1)
    loaded.model = forward
    return WhisperEngine(loaded, DecodingOptions(**options), batch_size)


@pytest.mark.parametrize("call", ["encode", "detect_language", "generate", "align"])
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError("CUDA failed with error out of memory"), Code.OUT_OF_MEMORY),
        (RuntimeError("cuBLAS failed with status CUBLAS_STATUS_ALLOC_FAILED"), Code.OUT_OF_MEMORY),
        (MemoryError(), Code.OUT_OF_MEMORY),
        (RuntimeError("CUDA failed with error an illegal memory access"), Code.ENGINE_FAILED),
        (ValueError("a shape that nobody expected"), Code.ENGINE_FAILED),
        (IndexError("a library's mistake"), Code.ENGINE_FAILED),
    ],
)
def test_a_poison_window_fails_alone_whatever_it_breaks(
    micro_model: ResolvedModel, call: str, error: Exception, code: Code
):
    forward = FakeForward(poison={call: 5}, error=error)
    engine = engine_on(forward, micro_model)
    windows = [numbered(number, None, word_timestamps=True) for number in range(8)]
    answers = engine.run(windows)
    failed = answers.pop(5)
    assert isinstance(failed, TransientError)
    assert failed.code is code
    assert failed.__cause__ is error
    assert all(isinstance(answer, WindowResult) for answer in answers)


class Broken(FakeForward):
    """Fails on one window, and from then on always, as CUDA does after an illegal access."""

    dead = False

    def _take(self, name: str, numbers) -> list[int]:
        self.dead |= self.poison.get(name) in [int(number) for number in numbers]
        if self.dead:
            self.calls.append((name, []))
            raise RuntimeError("CUDA failed with error an illegal memory access was encountered")
        return super()._take(name, numbers)


@pytest.mark.parametrize("call", ["encode", "detect_language", "generate", "align"])
@pytest.mark.parametrize("poison", [0, 2, 7])
def test_a_device_on_which_nothing_runs_any_more_is_no_windows_fault(
    micro_model: ResolvedModel, call: str, poison: int
):
    engine = engine_on(Broken(device="cuda", poison={call: poison + 1}), micro_model)
    windows = [numbered(number + 1, None, word_timestamps=True) for number in range(8)]
    with pytest.raises(EngineLostError, match=r"no longer runs on cuda.*illegal memory access"):
        engine.run(windows)
    with pytest.raises(EngineLostError):
        engine.run(windows[:1])


def test_a_device_without_memory_for_a_moment_is_not_lost(micro_model: ResolvedModel):
    forward = FakeForward(fits={"generate": 0})
    engine = engine_on(forward, micro_model)
    answers = engine.run([numbered(number) for number in range(3)])
    assert {answer.code for answer in answers} == {Code.OUT_OF_MEMORY}
    forward.fits = {}
    assert all(isinstance(one, WindowResult) for one in engine.run([numbered(0), numbered(1)]))


@pytest.mark.parametrize(("device", "rows"), [("cpu", [1] * 12), ("cuda", [4, 4, 4])])
def test_the_encoder_takes_less_at_a_time_than_the_decoder(
    micro_model: ResolvedModel, device: str, rows: list[int]
):
    forward = FakeForward(device=device)
    engine_on(forward, micro_model, batch_size=10).run([numbered(n) for n in range(12)])
    assert [len(own) for own in forward.rows_of("encode")] == rows
    assert [len(rows) for rows in forward.rows_of("generate")] == [10, 2]


def test_languages_are_detected_only_where_they_are_not_given(micro_model: ResolvedModel):
    forward = FakeForward()
    engine = engine_on(forward, micro_model)
    answers = engine.run([numbered(0), numbered(1, None), numbered(2, "fr"), numbered(3, None)])
    assert [answer.language for answer in answers] == ["en", "de", "fr", "de"]
    assert forward.rows_of("detect_language") == [[1, 3]]


def test_an_engine_that_runs_out_of_memory_brings_less_from_then_on(micro_model: ResolvedModel):
    forward = FakeForward(device="cuda", fits={"generate": 3, "encode": 2})
    engine = engine_on(forward, micro_model, batch_size=8)
    assert engine.batch_size == 8
    answers = engine.run([numbered(number) for number in range(8)])
    assert all(isinstance(answer, WindowResult) for answer in answers)
    assert engine.batch_size == 2
    forward.calls.clear()
    engine.run([numbered(number) for number in range(4)])
    assert [len(rows) for _, rows in forward.calls] == [2, 2, 2, 2]


def test_a_warm_up_on_a_gpu_finds_what_fits(micro_model: ResolvedModel):
    forward = FakeForward(device="cuda", fits={"generate": 5})
    engine = engine_on(forward, micro_model, batch_size=8)
    engine.warm_up()
    assert engine.batch_size == 4


def test_a_warm_up_on_a_gpu_takes_all_positions_of_the_decoder(micro_model: ResolvedModel):
    class Positions(FakeForward):
        prompts: ClassVar[set[int]] = set()

        def generate(self, features, prompts, **options):
            if len(prompts) > 1:
                self.prompts.update(map(len, prompts))
            return super().generate(features, prompts, **options)

    forward = Positions(device="cuda")
    engine_on(forward, micro_model, batch_size=8).warm_up()
    # 223 tokens before the text, with their mark, and what asks for a language and a task.
    assert forward.prompts == {227}


CONTROL = "<|startoftranscript|><|de|> <|translate|><|notimestamps|> <|endoftext|><|12.00|>"


@pytest.mark.parametrize(
    "text", [CONTROL, f"Hello {CONTROL}", f"{CONTROL} Hello", "<|startofprev|>Hello<|en|>"]
)
@pytest.mark.parametrize("model", ["demo", "micro"])
def test_what_looks_like_a_control_token_in_a_prompt_is_none(
    micro_model: ResolvedModel, model: str, text: str
):
    class Prompts(FakeForward):
        def generate(self, _features, prompts, **_):
            self.prompts = prompts
            return [Row(()) for _ in prompts]

    chosen = micro_model if model == "micro" else resolve_model("demo")
    loaded = load_model(chosen, "cpu", "default", 1)
    forward = Prompts(n_mels=loaded.model.n_mels, is_multilingual=loaded.model.is_multilingual)
    end = loaded.hf_tokenizer.token_to_id("<|endoftext|>")
    loaded.model = forward
    engine = WhisperEngine(loaded, DecodingOptions())

    def prompt_of(text: str) -> tuple[str, list[int]]:
        """Return what the model is told of the text before, and what it is told to do."""
        recognise(engine, numbered(0, prompt=text))
        (prompt,) = forward.prompts
        plain = loaded.hf_tokenizer.decode([token for token in prompt if token < end])
        return plain.strip(), [token for token in prompt if token >= end]

    told, asked = prompt_of(text)
    assert told == ("Hello" if "Hello" in text else "")
    assert asked == prompt_of("Hello")[1]


def test_a_gpu_that_holds_not_even_one_long_text_is_a_device_error(micro_model: ResolvedModel):
    class Small(FakeForward):
        def generate(self, features, prompts, **options):
            if 50257 in options["suppress_tokens"]:
                raise RuntimeError(OUT_OF_MEMORY)
            return super().generate(features, prompts, **options)

    with pytest.raises(DeviceUnavailableError, match="smaller model"):
        engine_on(Small(device="cuda"), micro_model, batch_size=4).warm_up()


def test_a_warm_up_that_fails_is_a_device_error(micro_model: ResolvedModel):
    error = RuntimeError("Library libcublas.so.12 is not found or cannot be loaded")
    forward = FakeForward(poison={"encode": 0}, error=error)
    with pytest.raises(DeviceUnavailableError, match="nvidia-cublas-cu12"):
        engine_on(forward, micro_model).warm_up()


def test_quality_rules_lead_to_sampling(micro_model: ResolvedModel):
    # No text can satisfy a log probability over 0: every temperature is tried.
    options = DecodingOptions(temperatures=(0.0, 0.6), log_prob_threshold=1.0)
    engine = WhisperEngine.load(micro_model, "cpu", cpu_threads=1, options=options)
    assert recognise(engine, window()).temperature == 0.6


def test_a_silent_window_has_no_segments_and_is_consumed_whole(micro_model: ResolvedModel):
    # Every no-speech probability is over -1, and no log probability is over 1: all is silence.
    options = DecodingOptions(temperatures=(0.0,), no_speech_threshold=-1.0, log_prob_threshold=1.0)
    engine = WhisperEngine.load(micro_model, "cpu", cpu_threads=1, options=options)
    answer = recognise(engine, window(10.0))
    assert answer.segments == ()
    assert answer.consumed_frames == 1000

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from faster_whisper import WhisperModel

from support.engine.fake_forward import FakeForward, Row
from support.engine.fixtures import AS_THE_LIBRARY, load_library, spoken, tokens_of
from support.engine.synthetic import RATE, blocks, noise, talk
from support.segmentation.running import heedless, run, transcribe
from whisperfleet.contract.job import Task
from whisperfleet.engine import Window, WindowRequest, WindowResult, WindowSegment
from whisperfleet.engine.ctranslate2.features import MelWindow
from whisperfleet.engine.ctranslate2.models import ResolvedModel, resolve_model
from whisperfleet.engine.ctranslate2.whisper import WhisperEngine
from whisperfleet.errors import JobError
from whisperfleet.segmentation import (
    Answered,
    Segmentation,
    SegmentationOptions,
    assemble,
    make_segmenter,
)
from whisperfleet.segmentation.pcm import to_float

SEQUENTIAL = SegmentationOptions(Segmentation.SEQUENTIAL)

# The first window is the loudest: a stream's running maximum is the file's then.
TALK = talk([(1, 19), (22, 34), (34.6, 52), (55, 58)], 59.21)
TALK[18 * 16_000 :] //= 2


class Seamless:
    """An engine that is not told where audio was left out, as the library is not."""

    def __init__(self, engine: WhisperEngine) -> None:
        self._engine = engine

    def prepare(self, window: Window) -> MelWindow:
        return self._engine.prepare(replace(window, seams=()))

    def run(self, windows: Sequence[MelWindow]) -> list[WindowResult | JobError]:
        return self._engine.run(windows)

    def retry(self, unsettled):
        return self._engine.retry(unsettled)


def librarys_text(library, audio, request, vad: bool):
    """Return the library's segments, and what it says of the file."""
    segments, info = library.transcribe(
        to_float(audio),
        request.language,
        request.task.value,
        temperature=0.0,
        initial_prompt=request.prompt,
        word_timestamps=request.word_timestamps,
        vad_filter=vad,
        vad_parameters={"min_silence_duration_ms": 500},
    )
    return list(segments), info


def same_as_the_library(engine, library, audio, request, vad: bool) -> int:
    """Compare every token and every time but those across a pause; return the number of windows."""
    expected, info = librarys_text(library, audio, request, vad)
    options = SegmentationOptions(Segmentation.SEQUENTIAL, vad=vad)
    segmenter = make_segmenter(blocks(audio), request, options)
    answered = run(segmenter, Seamless(engine))
    found = [(placed.timeline, segment) for placed, own in answered for segment in own.segments]
    assert expected
    assert [list(tokens_of(engine, segment)) for _, segment in found] == [
        one.tokens for one in expected
    ]
    times = []
    first_timestamp = engine._tokenizer("en", Task.TRANSCRIBE).timestamp_begin
    for (timeline, mine), theirs in zip(found, expected, strict=True):
        assert mine.text == theirs.text
        if not mine.words and tokens_of(engine, mine)[-1] < first_timestamp:
            # A text without an end: the library takes its beginning for that.
            continue
        place = heedless(timeline).locate_word if mine.words else heedless(timeline).locate_segment
        pairs = zip(mine.words or (), theirs.words or (), strict=True)
        for own, librarys in pairs if mine.words else [(mine, theirs)]:
            if not any(own.start < seam < own.end for seam in timeline.seams):
                # The library lets times pass the end of what is heard.
                last = timeline.pieces[-1].end / RATE
                times.append(
                    (place(own.start, own.end), np.minimum((librarys.start, librarys.end), last))
                )
    assert times
    # It rounds to hundredths where it maps times.
    ours, theirs = np.array(times).swapaxes(0, 1)
    assert ours == pytest.approx(theirs, abs=0.0051)
    transcript = assemble([Answered(placed.timeline, own) for placed, own in answered], segmenter)
    assert sorted(one.text for one in transcript.segments) == sorted(
        one.text.strip() for one in expected
    )
    assert transcript.language == info.language
    assert transcript.language_probability == pytest.approx(info.language_probability, abs=1e-3)
    assert transcript.duration == pytest.approx(info.duration, abs=0.001)
    assert transcript.duration_after_vad == pytest.approx(info.duration_after_vad, abs=0.001)
    return len(answered)


@pytest.mark.parametrize(
    ("request_", "vad"),
    [
        pytest.param(WindowRequest("en"), False, id="english, all"),
        pytest.param(
            WindowRequest("fr", Task.TRANSLATE, prompt="Hello there aab", word_timestamps=True),
            False,
            id="translated words after a prompt, all",
        ),
        pytest.param(WindowRequest(None, word_timestamps=True), True, id="detected words, speech"),
    ],
)
def test_a_file_is_read_as_the_library_reads_it(
    engine: WhisperEngine, library: WhisperModel, request_: WindowRequest, vad: bool, monkeypatch
):
    # The library stretches a last word over what its text left unread.
    monkeypatch.setattr("whisperfleet.engine.ctranslate2.segments._LATE_WORD_SECONDS", math.inf)
    assert same_as_the_library(engine, library, TALK, request_, vad) > 1


def test_a_file_within_one_window(engine: WhisperEngine, library: WhisperModel):
    same_as_the_library(engine, library, TALK[: 12 * 16_000], WindowRequest("en"), vad=False)


def answers(*results: WindowResult, condition_on_previous_text: bool = True):
    """Feed a segmenter with answers of one's own; return its windows."""
    options = SegmentationOptions(
        Segmentation.SEQUENTIAL,
        vad=False,
        condition_on_previous_text=condition_on_previous_text,
    )
    segmenter = make_segmenter(blocks(TALK), WindowRequest("en", prompt="Aab"), options)
    windows = [segmenter.next()]
    for result in results:
        segmenter.answer(windows[-1].timeline, result)
        windows.append(segmenter.next())
    return [placed.window for placed in windows]


def result(*tokens: int, consumed: int = 1000, temperature: float = 0.0) -> WindowResult:
    segment = WindowSegment(0.0, 1.0, " aab", tuple(map(str, tokens)))
    return WindowResult((segment,), consumed, "en", 1.0, temperature, -0.2, 0.0, 1.0)


def test_the_text_so_far_is_the_prompt_of_the_next_window():
    first, second, third = answers(result(1, 2), result(3))
    assert [one.previous for one in (first, second, third)] == [(), ("1", "2"), ("1", "2", "3")]
    assert {one.request.prompt for one in (first, second, third)} == {"Aab"}


def test_a_sampled_text_resets_the_prompt():
    _, second, third = answers(result(1, 2, temperature=0.6), result(3))
    assert (second.previous, second.request.prompt) == ((), None)
    assert (third.previous, third.request.prompt) == (("3",), None)


def test_no_more_text_is_kept_than_a_prompt_can_hold():
    windows = answers(*[result(*range(100)) for _ in range(4)])
    assert windows[-1].previous == tuple(map(str, (*range(77, 100), *range(100), *range(100))))


def test_an_answer_that_consumed_nothing_does_not_stand_still():
    first, second = answers(result(1, consumed=0))
    assert (first.frames, second.frames) == (3000, 2921)


def test_without_conditioning_only_the_first_window_has_a_prompt():
    windows = answers(result(1, 2), result(3), condition_on_previous_text=False)
    assert [one.previous for one in windows] == [(), (), ()]
    assert [one.request.prompt for one in windows] == ["Aab", None, None]


def no_text(temperature: float, silent: bool) -> WindowResult:
    return WindowResult((), 1000, "en", 1.0, temperature, -2.0, 0.9, 1.0, silent)


def test_a_sampled_window_without_text_resets_the_prompt_and_a_silent_one_does_not():
    _, second, third = answers(result(1, 2), no_text(1.0, silent=False))
    assert (second.previous, second.request.prompt) == (("1", "2"), "Aab")
    assert (third.previous, third.request.prompt) == ((), None)
    _, _, third = answers(result(1, 2), no_text(1.0, silent=True))
    assert (third.previous, third.request.prompt) == (("1", "2"), "Aab")


class Scripted(FakeForward):
    """Says of each window in turn what a script has for it, at each temperature."""

    def __init__(self, script: list[dict[float, Row]]) -> None:
        super().__init__(say=lambda _, temperature: script[self.window][temperature])
        self.window = -1
        self.prompts: list[list[int]] = []

    def encode(self, features, to_cpu=False):
        self.window += 1
        return super().encode(features, to_cpu)

    def generate(self, features, prompts, **options):
        self.prompts += prompts
        return super().generate(features, prompts, **options)


SAID = Row((50364, *range(300, 320), 50364 + 500), -0.1)
BLANK = Row((50364, 220, 50364 + 500), -3.0, 0.1)
SILENT = Row((50364, 220, 50364 + 500), -3.0, 0.9)


@pytest.mark.parametrize(
    ("second", "kept"),
    [
        ({0.0: SAID}, True),
        ({0.0: BLANK, 1.0: SAID}, False),
        ({0.0: BLANK, 1.0: BLANK}, False),
        ({0.0: SILENT}, True),
        ({0.0: BLANK, 1.0: SILENT}, True),
    ],
    ids=["said", "sampled", "sampled blank", "silent", "sampled silent"],
)
def test_the_prompt_is_kept_and_reset_as_the_library_does(
    micro_model: ResolvedModel, second: dict[float, Row], kept: bool
):
    audio = np.concatenate([TALK, TALK[: 20 * RATE]])
    script = [{0.0: SAID}, second, {0.0: SAID}]
    options = replace(AS_THE_LIBRARY, temperatures=(0.0, 1.0))
    librarys, ours = Scripted(script), Scripted(script)
    library = load_library(micro_model.path)
    library.model = librarys
    expected, _ = library.transcribe(
        to_float(audio), "en", temperature=[0.0, 1.0], initial_prompt="Aab", vad_filter=False
    )
    expected = [segment.tokens for segment in expected]

    loaded = load_library(micro_model.path)
    loaded.model = ours
    segmentation = SegmentationOptions(Segmentation.SEQUENTIAL, vad=False)
    segmenter = make_segmenter(blocks(audio), WindowRequest("en", prompt="Aab"), segmentation)
    mine = WhisperEngine(loaded, options)
    answered = run(segmenter, mine)
    assert [list(tokens_of(mine, one)) for _, own in answered for one in own.segments] == expected
    assert ours.prompts == librarys.prompts
    assert (300 in ours.prompts[-1]) is kept


def test_no_window_is_made_before_the_last_one_is_answered():
    segmenter = make_segmenter(blocks(TALK), WindowRequest("en"), SEQUENTIAL)
    first = segmenter.next()
    assert segmenter.next() is None
    segmenter.answer(first.timeline, result(1))
    assert segmenter.next() is not None


def test_an_answer_to_another_window_is_refused():
    segmenter = make_segmenter(blocks(TALK), WindowRequest("en"), SEQUENTIAL)
    first = segmenter.next()
    segmenter.answer(first.timeline, result(1))
    with pytest.raises(ValueError, match="was not asked for"):
        segmenter.answer(first.timeline, result(1))


def test_speech_without_words_is_told():
    segmenter = make_segmenter(blocks(TALK), WindowRequest("en"), SEQUENTIAL)
    placed = segmenter.next()
    assert segmenter.unrecognised == []
    segmenter.answer(placed.timeline, no_text(0.0, silent=True))
    (place,) = segmenter.unrecognised
    assert place == pytest.approx(
        (placed.timeline.start / RATE, placed.timeline.pieces[-1].end / RATE), abs=1
    )
    segmenter.answer(segmenter.next().timeline, result(1))
    assert segmenter.unrecognised == [place]


def test_no_audio_gives_no_window(engine: WhisperEngine):
    segmenter = make_segmenter(iter([np.zeros(100, np.int16)]), WindowRequest("en"), SEQUENTIAL)
    transcript = transcribe(segmenter, engine)
    assert (transcript.segments, transcript.language) == ((), "en")


@pytest.fixture(scope="module")
def demo() -> tuple[WhisperEngine, WhisperModel]:
    """The bundled model, in our hands and in the library's.

    It computes in float32 here: with 8-bit activations, the last bit of a feature can move a
    timestamp by a step.
    """
    model = resolve_model("demo")
    engine = WhisperEngine.load(model, "cpu", "float32", cpu_threads=1, options=AS_THE_LIBRARY)
    return engine, load_library(model.path, "float32")


@pytest.mark.parametrize("vad", [False, True], ids=["all", "speech"])
def test_real_speech_through_the_demo_model(demo: tuple[WhisperEngine, WhisperModel], vad: bool):
    # The loudest first, as above.
    audio = np.concatenate([spoken("tour"), *(spoken(name) // 2 for name in ("tour", "music"))])
    request = WindowRequest(None, word_timestamps=True)
    assert same_as_the_library(*demo, audio, request, vad) > 1


@pytest.mark.parametrize("words", [False, True], ids=["segments", "words"])
def test_where_pauses_are_left_out_no_segment_spans_one_and_the_words_are_the_same(
    demo: tuple[WhisperEngine, WhisperModel], words: bool
):
    engine, library = demo
    clips = [spoken(name) // quieter for name, quieter in (("tour", 1), ("countdown", 2))]
    audio = np.concatenate([clips[0], noise(6.0) // 4, clips[1], noise(6.0) // 4, clips[1]])
    request = WindowRequest(None, word_timestamps=words)
    expected, _ = librarys_text(library, audio, request, vad=True)
    segmenter = make_segmenter(blocks(audio), request, SEQUENTIAL)
    answered = run(segmenter, engine)
    for placed, result in answered:
        for one in result.segments:
            assert not any(one.start + 0.4 < seam < one.end - 0.4 for seam in placed.timeline.seams)
    text = "".join(one.text for _, result in answered for one in result.segments)
    assert text.split() == "".join(one.text for one in expected).split()


def test_a_file_that_gets_louder_has_the_librarys_words(
    demo: tuple[WhisperEngine, WhisperModel], report_figure
):
    """The library knows the loudest moment from the beginning, a stream does not.

    Whatever lies 80 dB under the loudest is silence to the model, so only quiet parts are heard
    otherwise; words may be timed otherwise too.
    """
    engine, library = demo
    audio = np.concatenate([spoken("music") // 8, spoken("tour")])
    expected, _ = library.transcribe(to_float(audio), temperature=0.0, vad_filter=False)
    options = SegmentationOptions(Segmentation.SEQUENTIAL, vad=False)
    segmenter = make_segmenter(blocks(audio), WindowRequest(), options)
    mine = transcribe(segmenter, engine).text.split()
    theirs = " ".join(segment.text.strip() for segment in expected).split()
    report_figure(f"a file that gets louder: {len(theirs)} words, the same: {mine == theirs}")
    assert mine == theirs

"""Windows that share a batch have the words that they have alone, in the library's own hands."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from faster_whisper import WhisperModel
from faster_whisper.audio import decode_audio

from hack.random_model.build import SHAPES, build_random_model
from support.engine.fixtures import (
    AS_THE_LIBRARY,
    load_library,
    mel_window,
    settle,
    spoken,
    tokens_of,
)
from support.engine.synthetic import babble, blocks
from support.segmentation.running import heedless
from whisperfleet.demo.clips import Clip, read_clips
from whisperfleet.engine import WindowRequest
from whisperfleet.engine.ctranslate2.models import resolve_model
from whisperfleet.engine.ctranslate2.whisper import WhisperEngine
from whisperfleet.engine.options import DecodingOptions
from whisperfleet.segmentation import (
    Answered,
    Segmentation,
    SegmentationOptions,
    assemble,
    make_segmenter,
)
from whisperfleet.segmentation.pcm import to_float

HELD_OUT = Path(__file__).parents[3] / "data" / "heldout"
BATCH = 16
GAP = 1e-3
FRAME_SECONDS = 0.02
FASTEST = 10
# A text that was never learned has no end; this much of each is compared.
COMPARED = 50
UNTRAINED_BATCH = 8


@pytest.fixture(
    scope="module",
    params=[("float32", 1), ("default", 3)],
    ids=["float32 one call at a time", "int8 three calls at a time"],
)
def demo(request: pytest.FixtureRequest) -> tuple[WhisperEngine, WhisperModel]:
    """The bundled model, in our hands and in the library's, in float32 and as it comes."""
    compute_type, threads = request.param
    model = resolve_model("demo")
    engine = WhisperEngine.load(
        model, "cpu", compute_type, threads, options=AS_THE_LIBRARY, batch_size=BATCH
    )
    return engine, load_library(model.path, compute_type)


CLIPS = ["colours", "countdown", "directions", "hello-world", "music", "phone-number", "tour"]


@pytest.mark.parametrize("words", [False, True], ids=["segments", "words"])
def test_single_windows(demo: tuple[WhisperEngine, WhisperModel], words: bool):
    engine, library = demo
    audios = [spoken(name)[: 30 * 16_000] for name in CLIPS]
    request = WindowRequest(word_timestamps=words)
    answers = engine.run([mel_window(one, request) for one in audios])
    for audio, answer in zip(audios, answers, strict=True):
        expected, info = library.transcribe(
            to_float(audio), temperature=0.0, word_timestamps=words, vad_filter=False
        )
        expected = [segment for segment in expected if segment.seek == 0]
        assert expected
        assert answer.language == info.language
        assert [one.text for one in answer.segments] == [one.text for one in expected]
        assert [list(tokens_of(engine, one)) for one in answer.segments] == [
            one.tokens for one in expected
        ]
        for mine, theirs in zip(answer.segments, expected, strict=True):
            assert (mine.start, mine.end) == (theirs.start, theirs.end)
            assert [(w.start, w.end, w.text) for w in mine.words or ()] == [
                (w.start, w.end, w.word) for w in theirs.words or ()
            ]


def test_files_that_are_read_one_window_after_the_other(demo: tuple[WhisperEngine, WhisperModel]):
    """Every window has another prompt and another length than those it shares its call with."""
    engine, library = demo
    # The first of each is its loudest: a stream's running maximum is the file's then.
    audios = [
        np.concatenate([spoken(name), spoken("tour") // 2, spoken("music") // 2])
        for name in ("tour", "countdown", "music")
    ]
    options = SegmentationOptions(Segmentation.SEQUENTIAL, vad=False)
    segmenters = [
        make_segmenter(blocks(audio), WindowRequest(word_timestamps=True), options)
        for audio in audios
    ]
    answered = [[] for _ in segmenters]
    while windows := {
        index: placed for index, one in enumerate(segmenters) if (placed := one.next())
    }:
        answers = engine.run([engine.prepare(placed.window) for placed in windows.values()])
        for (index, placed), answer in zip(windows.items(), answers, strict=True):
            segmenters[index].answer(placed.timeline, answer)
            answered[index].append(Answered(heedless(placed.timeline), answer))
    for audio, segmenter, own in zip(audios, segmenters, answered, strict=True):
        expected, _ = library.transcribe(
            to_float(audio), temperature=0.0, word_timestamps=True, vad_filter=False
        )
        expected = list(expected)
        transcript = assemble(own, segmenter)
        assert len(own) > 1
        assert [one.text for one in transcript.segments] == [one.text.strip() for one in expected]
        mine = [word for segment in transcript.segments for word in segment.words]
        theirs = [word for segment in expected for word in segment.words]
        assert [word.text for word in mine] == [word.word.strip() for word in theirs]
        # On some processors a product of int8 rounds otherwise in a larger batch; where two frames
        # of attention are as likely, that moves a word by one.
        slack = 0.0 if engine.compute_type == "float32" else FRAME_SECONDS
        assert np.array([(word.start, word.end) for word in mine]) == pytest.approx(
            np.array([(word.start, word.end) for word in theirs]), abs=slack + 0.0051
        )


class Remembering:
    """A model that keeps each row's text, with the logits of every token where it is asked to."""

    def __init__(self, model, logits: bool) -> None:
        self.model = model
        self.logits = logits
        self.rows = []

    def __getattr__(self, name):
        return getattr(self.model, name)

    def generate(self, features, prompts, **options):
        rows = self.model.generate(features, prompts, return_logits_vocab=self.logits, **options)
        self.rows += rows
        return rows


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> tuple[WhisperEngine, WhisperModel]:
    """A model of tiny's shape that was never trained, in our hands and in the library's."""
    path = build_random_model(SHAPES["tiny"], tmp_path_factory.mktemp("tiny"), "int8")
    options = DecodingOptions(beam_size=1, temperatures=(0.0,))
    # On one thread, so that the rows come in the order of the windows.
    engine = WhisperEngine.load(
        resolve_model(str(path)), "cpu", cpu_threads=1, options=options, batch_size=UNTRAINED_BATCH
    )
    return engine, load_library(path)


def test_random_weights_part_only_where_two_tokens_are_as_likely(
    random_weights: tuple[WhisperEngine, WhisperModel], report_figure
):
    """One batch of windows beside each of them through the library's own `transcribe`."""
    engine, library = random_weights
    audios = [babble(3.0, seed) for seed in range(UNTRAINED_BATCH)]
    together, alone = Remembering(engine._forward, False), Remembering(library.model, True)
    engine._decoder._model = together
    engine.run([mel_window(audio, WindowRequest("en"), "en") for audio in audios])
    library.model = alone
    firsts = []
    for audio in audios:
        before = len(alone.rows)
        segments, _ = library.transcribe(
            to_float(audio), "en", temperature=0.0, beam_size=1, max_new_tokens=2 * COMPARED
        )
        # It begins with the first window, and goes on after that one's last closed segment.
        next(iter(segments), None)
        firsts.append(alone.rows[before])
    assert len(together.rows) == len(firsts) == UNTRAINED_BATCH
    gaps = [first_gap(*rows) for rows in zip(together.rows, firsts, strict=True)]
    parted = [gap for gap in gaps if gap is not None]
    tokens = sum(len(row.sequences_ids[0]) for row in firsts)
    assert tokens >= COMPARED * UNTRAINED_BATCH
    report_figure(
        f"random weights, {tokens} tokens: {len(parted)} of {UNTRAINED_BATCH} texts of a batch "
        "differ from WhisperModel.transcribe one by one, the largest gap of log probabilities "
        f"where they part is {max(parted, default=0):.1e}"
    )
    assert max(parted, default=0.0) < GAP


def first_gap(together, alone) -> float | None:
    """Return how much likelier one token was where two texts part, or None where they do not.

    Logits and log probabilities differ by what is the same for all tokens of a step.
    """
    mine, theirs = together.sequences_ids[0], alone.sequences_ids[0]
    pairs = enumerate(zip(mine, theirs, strict=False))
    step = next((step for step, (a, b) in pairs if a != b), None)
    if step is None:
        return None
    logits = np.asarray(alone.logits[0][step])
    return float(abs(logits[mine[step]] - logits[theirs[step]]))


@pytest.mark.parametrize("seconds", [1.6, 4.0])
def test_the_bound_of_tokens_cuts_no_words(seconds: float, report_figure):
    """The fullest windows of all lengths that have the same bound, of the fastest speakers."""
    bounded, free = (
        WhisperEngine.load(resolve_model("demo"), "cpu", options=options, batch_size=BATCH)
        for options in (DecodingOptions(), DecodingOptions(tokens_per_window=448))
    )
    windows = [
        mel_window(piece, WindowRequest())
        for clip in fastest(clip for clip in read_clips(HELD_OUT) if clip.kind == "short")
        for piece in densest(clip, seconds)
    ]
    answers = settle(bounded, windows)
    unbounded = settle(free, windows)
    assert [one.segments for one in answers] == [one.segments for one in unbounded]
    most = max(sum(len(one.pieces) for one in answer.segments) for answer in answers)
    bound = DecodingOptions().max_new_tokens(seconds)
    report_figure(f"{seconds} s of speech: at most {most} tokens in {len(windows)}, bound {bound}")
    assert 0 < most <= bound / 2


def fastest(clips: Iterable[Clip]) -> list[Clip]:
    """Return the clips with the most words a second of speech."""

    def pace(clip: Clip) -> float:
        return len(clip.words) / sum(end - start for start, end in clip.phrases)

    return sorted(clips, key=pace)[-FASTEST:]


def densest(clip: Clip, seconds: float) -> Iterator[np.ndarray]:
    """Yield the beginning of each phrase, where nobody pauses."""
    audio = (decode_audio(str(clip.path)) * 32768).astype(np.int16)
    for start, _ in clip.phrases:
        yield audio[int(start * 16_000) : int((start + seconds) * 16_000)]

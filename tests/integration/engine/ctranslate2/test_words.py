"""Asking for the time of words must not cost words; the library's own model shows that it can."""

import json
from io import BytesIO

import pytest
from faster_whisper import WhisperModel

from support.audio.files import CLIPS
from whisperfleet.engine.ctranslate2.models import resolve_model
from whisperfleet.engine.ctranslate2.words import WordKeepingModel

MODEL = resolve_model("demo")
MANIFEST = json.loads((CLIPS / "clips.json").read_text())


def words_of(model: WhisperModel, file: str, **options: object):
    audio = BytesIO((CLIPS / file).read_bytes())
    segments, _ = model.transcribe(audio, vad_filter=True, temperature=0.0, **options)
    return list(segments)


@pytest.fixture(scope="module")
def model() -> WordKeepingModel:
    return WordKeepingModel(str(MODEL.path), device="cpu", cpu_threads=1)


@pytest.mark.parametrize("clip", MANIFEST, ids=lambda clip: clip["file"])
def test_words_are_the_same_with_and_without_their_times(model, clip):
    plain = [w for s in words_of(model, clip["file"]) for w in s.text.split()]
    timed = words_of(model, clip["file"], word_timestamps=True)
    assert [w for s in timed for w in s.text.split()] == plain
    for segment in timed:
        assert segment.start < segment.end
        assert [w.word.strip() for w in segment.words] == segment.text.split()


def test_a_segment_that_collapsed_gets_its_own_time_back(model, monkeypatch):
    def collapse(_, segments, *__, **___):
        for piece in (piece for pieces in segments for piece in pieces):
            piece["start"] = piece["end"] = 2.0
            piece["words"] = [
                {"word": f" {text}", "start": 2.0, "end": 2.0, "probability": 0.5} for text in "ab"
            ]

    monkeypatch.setattr(WhisperModel, "add_word_timestamps", collapse)
    piece = {"start": 1.0, "end": 3.0, "seek": 0, "tokens": []}
    model.add_word_timestamps([[piece]], None, None, 100, "", "", last_speech_timestamp=0.0)
    assert (piece["start"], piece["end"]) == (1.0, 3.0)
    assert [(word["start"], word["end"]) for word in piece["words"]] == [(1.0, 2.0), (2.0, 3.0)]

from itertools import pairwise

import numpy as np
import pytest
from faster_whisper.vad import VadOptions, get_speech_timestamps

from cutting.running import run, transcribe
from engine.synthetic import RATE, babble, blocks, noise, talk
from whisperfleet.cutting import Clock, CuttingOptions, Piece, make_cutter
from whisperfleet.cutting.cutter import UNBOUNDED
from whisperfleet.cutting.features import compute_features, to_float
from whisperfleet.engine import WindowRequest
from whisperfleet.engine.whisper import WhisperEngine

ENGLISH = WindowRequest("en")
TALK = talk([(1, 7), (8.5, 22), (24, 33), (36, 50), (53, 58)], 59)


def cuts(audio, request=ENGLISH, options=CuttingOptions(), mels=80):  # noqa: B008
    cutter = make_cutter(blocks(audio), request, options, mels)
    found = []
    while cut := cutter.next(None):
        found.append(cut)
    return cutter, found


def test_windows_are_packed_spans_with_the_librarys_features():
    vad = VadOptions(min_silence_duration_ms=500, max_speech_duration_s=30.0)
    spans = [(one["start"], one["end"]) for one in get_speech_timestamps(to_float(TALK), vad)]
    cutter, found = cuts(TALK)
    pieces = [piece for cut in found for piece in cut.clock.pieces]
    assert [(piece.start, piece.end) for piece in pieces] == spans
    assert len(found) < len(spans)
    for cut in found:
        samples = np.concatenate([TALK[one.start : one.end] for one in cut.clock.pieces])
        assert len(samples) <= 30 * RATE
        np.testing.assert_array_equal(cut.window.features, compute_features(samples, 80))
    for cut, following in pairwise(found):
        together = sum(one.samples for one in (*cut.clock.pieces, following.clock.pieces[0]))
        assert together > 30 * RATE
    assert cutter.duration == 59
    assert cutter.duration_after_vad == sum(end - start for start, end in spans) / RATE


def test_without_the_detector_windows_follow_one_another():
    _, found = cuts(TALK, options=CuttingOptions(vad=False, max_window_seconds=20.0))
    assert [cut.clock for cut in found] == [
        Clock((Piece(0, 20 * RATE),)),
        Clock((Piece(20 * RATE, 20 * RATE),)),
        Clock((Piece(40 * RATE, 19 * RATE),)),
    ]
    assert [cut.window.frames for cut in found] == [2000, 2000, 1900]


def test_shorter_windows_cut_longer_speech():
    _, found = cuts(babble(58), options=CuttingOptions(max_window_seconds=10.0))
    assert len(found) >= 6
    assert max(cut.window.seconds for cut in found) <= 10.0


def test_every_window_has_the_request_and_no_previous_text():
    request = WindowRequest("en", prompt="Aab", word_timestamps=True)
    _, found = cuts(TALK, request)
    assert len(found) > 1
    assert {(cut.window.request, cut.window.previous_tokens) for cut in found} == {(request, ())}


@pytest.mark.parametrize("audio", [noise(20), noise(0)], ids=["noise", "nothing"])
def test_no_speech_gives_no_window(audio):
    cutter, found = cuts(audio)
    assert found == []
    assert cutter.duration == len(audio) / RATE
    assert cutter.duration_after_vad == 0


def test_a_language_that_is_known_needs_no_answers():
    cutter = make_cutter(blocks(TALK), ENGLISH, CuttingOptions(), 80)
    assert cutter.lookahead == UNBOUNDED


def test_the_first_answer_gives_the_language_of_all(engine: WhisperEngine):
    cutter = make_cutter(blocks(TALK), WindowRequest(), CuttingOptions(), engine.mels)
    assert (cutter.lookahead, cutter.language) == (1, None)
    answered = run(cutter, engine)
    assert cutter.lookahead == UNBOUNDED
    languages = [cut.window.language for cut, _ in answered]
    detected = answered[0][1].language
    assert len(answered) > 1
    assert languages == [None] + [detected] * (len(answered) - 1)
    assert {result.language for _, result in answered} == {detected}
    assert cutter.language == detected


def test_windows_need_nothing_of_one_another(engine: WhisperEngine):
    whole = transcribe(make_cutter(blocks(TALK), ENGLISH, CuttingOptions(), 80), engine)
    _, found = cuts(TALK)
    alone = [segment for cut in reversed(found) for segment in engine.run([cut.window])[0].segments]
    assert sorted(segment.text for segment in whole.segments) == sorted(
        segment.text.strip() for segment in alone
    )

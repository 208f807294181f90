"""The corpus is the same each time, and its truth is where the sound is."""

import json
import zlib
from itertools import pairwise

import numpy as np
import pytest

from hack.real.corpus.audio import RATE, limit_pauses, read_audio, resample, silence, trim
from hack.real.corpus.build import PARTS, write_part
from hack.real.corpus.compose import Phrase, Take, lay, mix
from hack.real.corpus.manifest import read_manifest
from hack.real.corpus.voices import Studio, Utterance, texts
from hack.real.normalise import words_of
from whisperfleet.demo.clips import MANIFEST, read_clips


class Tones(Studio):
    """Speaks and reads in tones, a fifth of a second for each word: it needs nothing fetched."""

    def speak(self, text, seed, speed=1.0, depth=1.0):
        pitch = (300 + seed % 100) / depth
        return Utterance(tone(0.2 * len(text.split()) / speed, pitch), text)

    def speak_language(self, text, language):
        return self.speak(text, len(language))

    @property
    def readers(self):
        return [self.speak(text, 0) for text in ("he was a reader", "and she was one too")]

    @property
    def president(self):
        return self.speak("ask not", 0)


def tone(seconds, frequency=300.0):
    time = np.arange(round(seconds * RATE)) / RATE
    return np.sin(2 * np.pi * frequency * time).astype(np.float32)


def quick(part):
    drafts = [draft for draft in PARTS[part]() if draft.quick]
    return drafts or PARTS[part]()[:2]


@pytest.mark.parametrize("part", [part for part in PARTS if part != "files"])
def test_two_builds_of_a_part_are_the_same_bytes(part, tmp_path):
    for name in ("once", "again"):
        (tmp_path / name).mkdir()
        write_part(quick(part), Tones(), tmp_path / name)
    once, again = (
        {path.name: zlib.crc32(path.read_bytes()) for path in (tmp_path / name).iterdir()}
        for name in ("once", "again")
    )
    assert once == again
    assert len(once) == len(quick(part)) + 1


@pytest.mark.parametrize("part", PARTS)
def test_drafts_have_names_of_their_own(part):
    names = [draft.name for draft in PARTS[part]()]
    assert len(set(names)) == len(names)


def test_a_file_is_the_same_alone_and_among_others(tmp_path):
    few = quick("no_speech")[:3]
    for name, drafts in (("all", few), ("one", few[-1:])):
        (tmp_path / name).mkdir()
        write_part(drafts, Tones(), tmp_path / name)
    (one,) = read_manifest(tmp_path / "one")
    assert one.sha256 == read_manifest(tmp_path / "all")[-1].sha256


def test_the_manifest_says_what_the_product_reads(tmp_path):
    write_part(quick("clips")[:2], Tones(), tmp_path)
    for clip, recording in zip(read_clips(tmp_path), read_manifest(tmp_path), strict=True):
        assert clip.seconds == recording.seconds
        assert recording.seconds == pytest.approx(len(read_audio(recording.path)) / RATE, abs=1e-4)
        assert clip.phrases == tuple((p.start, p.end) for p in recording.phrases)
        assert list(clip.words) == words_of(recording.text)
    assert json.loads((tmp_path / MANIFEST).read_text())[0]["quick"] is True


def test_phrases_are_where_the_sound_is(tmp_path):
    write_part(quick("clips")[-1:], Tones(), tmp_path)
    (recording,) = read_manifest(tmp_path)
    samples = read_audio(recording.path)
    assert len(recording.phrases) > 1
    for phrase in recording.phrases:
        said = samples[round(phrase.start * RATE) : round(phrase.end * RATE)]
        assert len(trim(said)) == pytest.approx(len(said), abs=RATE // 100)
    for phrase, following in pairwise(recording.phrases):
        between = samples[round(phrase.end * RATE) : round(following.start * RATE)]
        assert 0.1 * RATE <= len(between) <= 1.5 * RATE
        # Times are rounded, to two samples at most.
        assert np.abs(between[2:-2]).max() < 0.01


def test_each_channel_of_a_stereo_talk_has_its_speaker_alone():
    (draft,) = [draft for draft in quick("two_speakers") if draft.kind == "stereo"]
    take = draft.take(Tones())
    assert take.samples.shape[0] == 2
    assert {phrase.channel for phrase in take.phrases} == {"left", "right"}
    for phrase in take.phrases:
        part = take.samples[:, round(phrase.start * RATE) : round(phrase.end * RATE)]
        left, right = np.abs(part).max(axis=1)
        assert (left > 0.01, right > 0.01) == (phrase.channel == "left", phrase.channel == "right")


def test_noise_is_as_far_under_the_speech_as_asked():
    take = Take(np.concatenate([tone(1.0) * 0.1, silence(1.0)])[None], (Phrase(0.0, 1.0, "a"),))
    noise = np.random.default_rng(1).standard_normal(2 * RATE).astype(np.float32)
    added = (mix(take, noise, 10.0).samples - take.samples)[0]
    speech, background = (np.sqrt(np.mean(part**2)) for part in (take.samples[0, :RATE], added))
    assert 20 * np.log10(speech / background) == pytest.approx(10.0, abs=0.1)


def test_nothing_is_louder_than_a_file_can_hold():
    take = lay([Utterance(tone(0.5) * 3, "a")], [], 0.1, 0.1)
    assert np.abs(take.samples).max() <= 0.951


def test_pauses_are_shortened_and_words_are_not():
    spoken = np.concatenate([tone(0.5), silence(0.6), tone(0.5), silence(0.05), tone(0.2)])
    shortened = limit_pauses(spoken, 0.12)
    assert len(shortened) / RATE == pytest.approx(0.5 + 0.12 + 0.5 + 0.05 + 0.2, abs=0.02)


def test_resampling_keeps_pitch_and_length():
    rate, frequency = 24_000, 1000.0
    original = np.sin(2 * np.pi * frequency * np.arange(rate) / rate).astype(np.float32)
    found = resample(original, RATE)
    assert len(found) == RATE
    assert np.allclose(found, tone(1.0, frequency), atol=0.01)


def test_there_are_hundreds_of_sentences_and_none_twice():
    sentences = Studio().sentences
    assert len(set(sentences)) == len(sentences) >= 300
    assert all(5 <= len(line.split()) <= 30 for line in sentences)
    assert not any(map(str.isdigit, "".join(sentences)))
    assert len({line.split("\t")[0] for line in texts("languages")}) >= 12

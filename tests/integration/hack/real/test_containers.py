"""Files of the part `containers` are heard as they are played, and by the library otherwise."""

from itertools import pairwise

import numpy as np
import pytest
from faster_whisper.audio import decode_audio

from hack.real.corpus.audio import RATE
from hack.real.corpus.build import write_part
from hack.real.corpus.containers import containers
from hack.real.corpus.manifest import read_manifest
from hack.real.corpus.voices import Studio, Utterance
from whisperfleet.audio.decoder import DecoderPool

LATE_OR_HOLED = ("late", "hole")
# Which phrases are left where both channels are added.
HEARD = {"opposite": [False, False], "half-opposite": [False, True]}
LOUD = 0.02


class Tones(Studio):
    """Speaks in tones of two seconds: it needs nothing fetched."""

    def speak(self, text, seed, speed=1.0, depth=1.0):  # noqa: ARG002 - as long at any speed
        pitch = (300 + seed % 100) / depth
        tone = np.sin(2 * np.pi * pitch * np.arange(2 * RATE) / RATE)
        return Utterance(tone.astype(np.float32), text)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("containers")
    write_part(containers(), Tones(), folder)
    return read_manifest(folder)


@pytest.fixture(scope="module")
def played(recordings):
    """What the worker's decoder makes of each file."""
    found = []
    with DecoderPool(1) as pool:
        pool.wait_until_ready()
        for recording in recordings:
            with pool.decode(recording.path) as stream:
                found.append(np.concatenate(list(stream)).astype(np.float32) / 32768)
    return found


def test_each_phrase_is_heard_at_its_time(recordings, played):
    for recording, samples in zip(recordings, played, strict=True):
        assert len(samples) / RATE == pytest.approx(recording.seconds, abs=0.05)
        middles = [(one.end + other.start) / 2 for one, other in pairwise(recording.phrases)]
        bounds = [0.0, *middles, recording.seconds]
        for phrase, (begin, end) in zip(recording.phrases, pairwise(bounds), strict=True):
            part = samples[round(begin * RATE) : round(end * RATE)]
            (loud,) = np.nonzero(np.abs(part) > LOUD)
            heard = begin + loud[[0, -1]] / RATE
            assert heard == pytest.approx([phrase.start, phrase.end], abs=0.05), recording.path


def test_who_reads_no_times_has_the_last_phrase_seconds_early(recordings):
    for recording in recordings:
        lost = recording.seconds - len(decode_audio(str(recording.path))) / RATE
        if recording.kind in LATE_OR_HOLED:
            assert 2.9 < lost < 6.1, recording.path
        else:
            assert lost == pytest.approx(0, abs=0.05), recording.path


def test_who_adds_the_channels_does_not_hear_what_is_opposite(recordings):
    for recording in recordings:
        if recording.kind not in HEARD:
            continue
        added = decode_audio(str(recording.path))
        phrases = [added[round(p.start * RATE) : round(p.end * RATE)] for p in recording.phrases]
        loud = [bool(np.abs(phrase).max() > LOUD) for phrase in phrases]
        assert loud == HEARD[recording.kind], recording.path


def test_the_quick_form_has_each_kind_in_a_container_of_its_own():
    quick = [draft for draft in containers() if draft.quick]
    assert [draft.kind for draft in quick] == ["late", "hole", "opposite", "half-opposite"]
    assert len({draft.name.rpartition(".")[2] for draft in quick}) == len(quick)

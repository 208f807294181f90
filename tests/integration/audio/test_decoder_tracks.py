"""Which of several audio tracks is decoded, and what is said about the others."""

import numpy as np
import pytest

from support.audio.media import Track, write_tracks
from whisperfleet.audio.decoder import AudioSelection, DecoderPool
from whisperfleet.contract.codes import Code
from whisperfleet.contract.warnings import WarningCode
from whisperfleet.errors import InputError

RATE = 44_100


@pytest.fixture(scope="module")
def pool():
    with DecoderPool(1) as running:
        running.wait_until_ready()
        yield running


def tone(pitch_hz, seconds=3.0, **track):
    times = np.arange(int(RATE * seconds)) / RATE
    sound = (12_000 * np.sin(2 * np.pi * times * pitch_hz)).astype(np.int16)
    return Track(sound, "aac", RATE, **track)


def silence(**track):
    return Track(np.zeros(3 * RATE, np.int16), "aac", RATE, **track)


def decoded(pool, path, **selection):
    with pool.decode(path, AudioSelection(**selection)) as stream:
        samples = np.concatenate(list(stream))
    return samples, {warning.code: warning.message for warning in stream.warnings}


def pitch(samples):
    return round(np.abs(np.fft.rfft(samples[:16_000])).argmax(), -1)


@pytest.mark.parametrize("container", ["matroska", "mp4"])
@pytest.mark.parametrize("default", [0, 1])
def test_the_track_that_is_marked_as_default(pool, tmp_path, container, default):
    tracks = [
        tone(300, language="fra", is_default=default == 0),
        tone(500, language="eng", is_default=default == 1),
    ]
    path = write_tracks(tmp_path / "video", container, tracks, video_seconds=3)
    samples, warnings = decoded(pool, path)
    assert pitch(samples) == (300, 500)[default]
    assert warnings.keys() == {WarningCode.TRACK_LEFT_OUT}
    message = warnings[WarningCode.TRACK_LEFT_OUT]
    assert f"2 audio tracks (fra, eng) and number {default + 1} was taken" in message
    assert "send `track`" in message


def test_the_first_track_where_none_is_marked(pool, tmp_path):
    path = write_tracks(tmp_path / "audio", "matroska", [tone(300), tone(500)])
    assert pitch(decoded(pool, path)[0]) == 300


@pytest.mark.parametrize("track", [1, 2])
def test_a_track_that_is_asked_for(pool, tmp_path, track):
    tracks = [tone(300), tone(500, is_default=True)]
    path = write_tracks(tmp_path / "video", "matroska", tracks, video_seconds=3)
    samples, warnings = decoded(pool, path, track=track)
    assert pitch(samples) == (300, 500)[track - 1]
    assert not warnings


def test_a_track_that_is_not_there(pool, tmp_path):
    path = write_tracks(tmp_path / "audio", "matroska", [tone(300), tone(500)])
    with pytest.raises(InputError) as caught, pool.decode(path, AudioSelection(track=3)) as stream:
        list(stream)
    assert caught.value.code is Code.INVALID_JOB
    assert "from 1 to 2" in caught.value.message


@pytest.mark.parametrize("silent_before", [1, 2])
def test_a_silent_track_beside_one_with_sound(pool, tmp_path, silent_before):
    tracks = [silence(is_default=True), *[silence()] * (silent_before - 1), tone(300)]
    path = write_tracks(tmp_path / "video", "matroska", tracks, video_seconds=3)
    samples, warnings = decoded(pool, path)
    assert not samples.any()
    assert warnings.keys() == {WarningCode.TRACK_LEFT_OUT, WarningCode.TRACK_SILENT}
    assert f"`track` {silent_before + 1}" in warnings[WarningCode.TRACK_SILENT]
    assert not decoded(pool, path, track=1)[1]


def test_tracks_that_are_all_silent(pool, tmp_path):
    path = write_tracks(tmp_path / "audio", "matroska", [silence(), silence()])
    assert decoded(pool, path)[1].keys() == {WarningCode.TRACK_LEFT_OUT}


def test_tracks_and_channels_are_counted():
    with pytest.raises(ValueError, match="from 1"):
        AudioSelection(track=0)
    with pytest.raises(ValueError, match="from 0"):
        AudioSelection(channel=-1)

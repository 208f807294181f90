"""One channel alone, and a mix in which no channel cancels another."""

import numpy as np
import pytest
from faster_whisper.audio import decode_audio

from support.audio.media import Track, tones, write_tracks
from whisperfleet.audio.decoder import AudioSelection, DecoderPool
from whisperfleet.contract.warnings import WarningCode

SAMPLE_KINDS = {
    "8 bit": ("wav", "pcm_u8"),
    "16 bit": ("wav", "pcm_s16le"),
    "24 bit": ("wav", "pcm_s24le"),
    "float": ("wav", "pcm_f32le"),
    "double": ("wav", "pcm_f64le"),
    "flac": ("flac", "flac"),
    "planar 16 bit": ("wv", "wavpack"),
}


@pytest.fixture(scope="module")
def pool():
    with DecoderPool(1) as running:
        running.wait_until_ready()
        yield running


def decoded(pool, path, channel=None):
    with pool.decode(path, AudioSelection(channel=channel)) as stream:
        samples = np.concatenate(list(stream))
    warnings = {warning.code: warning.message for warning in stream.warnings}
    return samples.astype(np.float32) / 32768, warnings, stream.channels


def written(path, samples, container="wav", codec="pcm_s16le", layout="stereo", rate=44_100):
    return write_tracks(path, container, [Track(samples, codec, rate, layout)])


def turned(sound):
    """Return a stereo recording, one channel of which is the other turned round."""
    return np.hstack([sound, np.maximum(-sound, -32767)])


@pytest.mark.parametrize("kind", SAMPLE_KINDS)
def test_channels_that_cancel_each_other_are_heard(pool, tmp_path, kind):
    sound = tones(44_100, 1, 3.3)
    path = written(tmp_path / "audio", turned(sound), *SAMPLE_KINDS[kind])
    samples, warnings, channels = decoded(pool, path)
    alone = written(tmp_path / "mono", sound, layout="mono")
    np.testing.assert_allclose(samples, decode_audio(str(alone)), atol=0.01)
    assert channels == 2
    assert warnings.keys() == {WarningCode.CHANNELS_CANCEL}
    assert "for 3.3 s from 0.0 s on" in warnings[WarningCode.CHANNELS_CANCEL]


def test_a_lossy_codec_whose_channels_cancel(pool, tmp_path):
    path = written(tmp_path / "audio", turned(tones(44_100, 1, 3)), "ipod", "aac")
    assert np.abs(decoded(pool, path)[0]).max() > 0.3
    assert np.abs(decode_audio(str(path))).max() < 0.1


def test_front_channels_of_a_film_that_cancel(pool, tmp_path):
    sound = np.zeros((3 * 48_000, 6), np.int16)
    sound[:, :2] = turned(tones(48_000, 1, 3))
    path = written(tmp_path / "audio", sound, "flac", "flac", "5.1", 48_000)
    samples, warnings, channels = decoded(pool, path)
    assert np.abs(samples).max() > 0.1
    assert np.abs(decode_audio(str(path))).max() < 0.01
    assert warnings.keys() == {WarningCode.CHANNELS_CANCEL}
    assert channels == 6


def test_only_the_part_that_cancels_is_turned_round(pool, tmp_path):
    sound = tones(44_100, 1, 8)
    both = np.hstack([sound, sound])
    both[3 * 44_100 : 5 * 44_100, 1] *= -1
    samples, warnings, _ = decoded(pool, written(tmp_path / "audio", both))
    loud = np.abs(samples).reshape(-1, 4_000).max(axis=1)
    assert loud.min() > 0.3
    assert "for 2.0 s from 3." in warnings[WarningCode.CHANNELS_CANCEL]


def speakers_in_turn():
    sound = tones(44_100, 2, 6)
    sound[: 2 * 44_100, 1] = 0
    sound[2 * 44_100 : 4 * 44_100, 0] = 0
    return sound


@pytest.mark.parametrize(
    "sound",
    [
        pytest.param(speakers_in_turn(), id="speakers in turn"),
        pytest.param(np.repeat(tones(44_100, 1, 3), 2, axis=1), id="twice the same"),
        pytest.param(turned(np.full((3 * 44_100, 1), 9_000, np.int16)), id="an offset alone"),
        pytest.param(turned(tones(44_100, 1, 3) // 2_000), id="dither"),
        pytest.param(np.zeros((3 * 44_100, 2), np.int16), id="silence"),
    ],
)
def test_all_else_is_mixed_as_the_library_does(pool, tmp_path, sound):
    path = written(tmp_path / "audio", sound)
    samples, warnings, _ = decoded(pool, path)
    np.testing.assert_array_equal(samples, decode_audio(str(path)))
    assert not warnings


def test_numbers_that_are_none_do_no_harm(pool, tmp_path):
    path = written(tmp_path / "audio", tones(44_100, 2, 3), "wav", "pcm_f32le")
    content = path.read_bytes()
    wild = np.array([np.inf, -np.inf, np.nan, 3e38], np.float32).tobytes() * 20_000
    path.write_bytes(content[: -len(wild)] + wild)
    samples, warnings, _ = decoded(pool, path)
    assert len(samples) == 3 * 16_000
    assert np.abs(samples[:16_000]).max() > 0.3
    assert not warnings


@pytest.mark.parametrize("kind", SAMPLE_KINDS)
@pytest.mark.parametrize("channel", [0, 1])
def test_one_channel_alone(pool, tmp_path, kind, channel):
    sound = tones(44_100, 2, 3.3)
    path = written(tmp_path / "audio", sound, *SAMPLE_KINDS[kind])
    column = np.ascontiguousarray(sound[:, channel])
    alone = written(tmp_path / "mono", column, *SAMPLE_KINDS[kind], layout="mono")
    samples, warnings, channels = decoded(pool, path, channel)
    np.testing.assert_array_equal(samples, decode_audio(str(alone)))
    assert not warnings
    assert channels == 2


def test_one_channel_of_many(pool, tmp_path):
    sound = tones(48_000, 6, 2)
    path = written(tmp_path / "audio", sound, "flac", "flac", "5.1", 48_000)
    column = np.ascontiguousarray(sound[:, 5])
    alone = written(tmp_path / "mono", column, layout="mono", rate=48_000)
    np.testing.assert_array_equal(decoded(pool, path, 5)[0], decode_audio(str(alone)))


@pytest.mark.parametrize(
    ("layout", "channel", "told"),
    [
        ("mono", 1, "channel right was asked for and the audio has 1 channel,"),
        ("stereo", 2, "channel 3 was asked for and the audio has 2 channels,"),
    ],
)
def test_a_channel_that_is_not_there(pool, tmp_path, layout, channel, told):
    sound = tones(44_100, 1 + (layout == "stereo"), 3)
    path = written(tmp_path / "audio", sound, layout=layout)
    samples, warnings, _ = decoded(pool, path, channel)
    np.testing.assert_array_equal(samples, decode_audio(str(path)))
    assert warnings.keys() == {WarningCode.CHANNEL_MISSING}
    assert told in warnings[WarningCode.CHANNEL_MISSING]

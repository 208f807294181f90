"""A position in the samples is the time at which a player plays them."""

import struct

import numpy as np
import pytest
from faster_whisper.audio import decode_audio

from support.audio.media import Track, tones, write_tracks
from whisperfleet.audio.decoder import DecodeLimits, DecoderPool
from whisperfleet.contract.codes import Code
from whisperfleet.contract.warnings import WarningCode
from whisperfleet.errors import InputError

OPUS = {"codec": "libopus", "rate": 48_000}


@pytest.fixture(scope="module")
def pool():
    with DecoderPool(1) as running:
        running.wait_until_ready()
        yield running


def decoded(pool, path):
    """Return the samples as floats, and the warnings by their code."""
    with pool.decode(path) as stream:
        samples = np.concatenate(list(stream))
    return samples.astype(np.float32) / 32768, {w.code: w.message for w in stream.warnings}


def spoken(seconds, codec="libopus", rate=48_000, **track):
    return Track(tones(rate, 1, seconds), codec, rate, **track)


def loudness(samples, begin, end):
    return float(np.abs(samples[int(begin * 16_000) : int(end * 16_000)]).max())


def hole_of(seconds, after):
    return lambda time: time + (seconds if time >= after else 0)


TIMED = {
    "webm": ("webm", "libopus", 48_000),
    "mkv": ("matroska", "aac", 44_100),
    "mkv, pcm": ("matroska", "pcm_s16le", 16_000),
    "mp4": ("mp4", "aac", 44_100),
    "mpegts": ("mpegts", "aac", 44_100),
    "mpeg": ("mpeg", "mp2", 44_100),
    "flv": ("flv", "aac", 44_100),
    "asf": ("asf", "mp3", 44_100),
    "ogg": ("ogg", "libopus", 48_000),
}
# A page of it has one time for several packets.
LIVE = TIMED | {"ogg, flac": ("ogg", "flac", 44_100)}


@pytest.mark.parametrize("kind", TIMED)
def test_a_hole_in_the_clock_is_silence(pool, tmp_path, kind):
    container, *sound = TIMED[kind]
    path = write_tracks(
        tmp_path / "audio", container, [spoken(6, *sound, played_at=hole_of(5, after=2))]
    )
    samples, warnings = decoded(pool, path)
    assert len(samples) / 16_000 == pytest.approx(11, abs=0.1)
    assert loudness(samples, 0.5, 1.9) > 0.3
    assert loudness(samples, 2.2, 6.8) == 0
    assert loudness(samples, 7.2, 10.8) > 0.3
    assert warnings.keys() == {WarningCode.GAP_IN_TIME}
    assert "no sound for 5.0 s from 2.0 s on" in warnings[WarningCode.GAP_IN_TIME]


def test_several_holes_are_one_warning(pool, tmp_path):
    path = write_tracks(
        tmp_path / "audio",
        "webm",
        [spoken(8.5, played_at=lambda time: time + 2 * max(0, time // 3))],
    )
    samples, warnings = decoded(pool, path)
    assert len(samples) / 16_000 == pytest.approx(12.5, abs=0.1)
    assert "4.0 s in 2 places, the first from 3.0 s" in warnings[WarningCode.GAP_IN_TIME]


@pytest.mark.parametrize(("container", "late"), [("matroska", 10), ("mp4", 10), ("mpegts", 4)])
def test_sound_that_begins_after_the_pictures(pool, tmp_path, container, late):
    track = spoken(3, "aac", 44_100, played_at=lambda time: time + late)
    path = write_tracks(tmp_path / "audio", container, [track], video_seconds=late + 5)
    samples, warnings = decoded(pool, path)
    assert len(samples) / 16_000 == pytest.approx(late + 3, abs=0.15)
    assert loudness(samples, 0, late - 0.2) == 0
    assert loudness(samples, late + 0.1, late + 0.5) > 0.3
    assert not warnings


@pytest.mark.parametrize("kind", LIVE)
def test_a_clock_that_does_not_begin_at_nought_is_no_hole(pool, tmp_path, kind):
    container, *sound = LIVE[kind]
    track = spoken(3, *sound, played_at=lambda time: time + 1_000)
    path = write_tracks(tmp_path / "audio", container, [track])
    samples, warnings = decoded(pool, path)
    np.testing.assert_array_equal(samples, decode_audio(str(path)))
    assert not warnings


def test_packets_that_are_a_little_early_or_late(pool, tmp_path):
    rng = np.random.default_rng(3)
    track = spoken(20, played_at=lambda time: time + rng.uniform(0, 0.02) + (time % 1) / 10)
    path = write_tracks(tmp_path / "audio", "webm", [track])
    samples, warnings = decoded(pool, path)
    np.testing.assert_array_equal(samples, decode_audio(str(path)))
    assert not warnings


@pytest.mark.parametrize(("seconds", "told"), [(30, set()), (90, {WarningCode.CLOCK_BREAK})])
def test_a_clock_that_runs_fast_cuts_no_word_in_two(pool, tmp_path, seconds, told):
    track = spoken(seconds, played_at=lambda time: time * 1.02)
    path = write_tracks(tmp_path / "audio", "webm", [track])
    samples, warnings = decoded(pool, path)
    np.testing.assert_array_equal(samples, decode_audio(str(path)))
    assert warnings.keys() == told


def test_packets_that_were_lost_or_never_sent_one_by_one(pool, tmp_path):
    path = write_tracks(
        tmp_path / "audio",
        "webm",
        [spoken(12, played_at=lambda time: time if time < 2 or round(time * 50) % 4 else None)],
    )
    samples, _ = decoded(pool, path)
    assert len(samples) / 16_000 == pytest.approx(12, abs=0.3)


def patched_time(path, old_ms, new_ms):
    """Change the time of one block of the first cluster of a Matroska file."""
    content = path.read_bytes()
    old, new = (b"\x81" + struct.pack(">h", ms) + b"\x80" for ms in (old_ms, new_ms))
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))


@pytest.mark.parametrize("wrong_ms", [4_900, 4_000 - 3_500])
def test_one_packet_of_a_wrong_time_is_no_jump(pool, tmp_path, wrong_ms):
    path = write_tracks(
        tmp_path / "audio", "matroska", [spoken(6, "pcm_s16le", 16_000)], cluster_time_limit="30000"
    )
    patched_time(path, 1_024, wrong_ms)
    samples, warnings = decoded(pool, path)
    assert len(samples) == 6 * 16_000
    assert not warnings


def test_a_clock_that_jumps_back_loses_no_sound(pool, tmp_path):
    # Two broadcasts, one after the other.
    path = write_tracks(tmp_path / "audio", "mpegts", [spoken(4, "aac", 44_100)])
    path.write_bytes(path.read_bytes() * 2)
    samples, warnings = decoded(pool, path)
    assert len(samples) / 16_000 == pytest.approx(8, abs=0.2)
    assert warnings.keys() == {WarningCode.CLOCK_BREAK}
    assert "at 4.0 s" in warnings[WarningCode.CLOCK_BREAK]


@pytest.mark.parametrize(("container", "jump"), [("mpegts", 60), ("flv", 60), ("matroska", 4_000)])
def test_a_jump_that_no_recording_makes_is_no_hole(pool, tmp_path, container, jump):
    track = spoken(6, "aac", 44_100, played_at=hole_of(jump, after=2))
    path = write_tracks(tmp_path / "audio", container, [track])
    samples, warnings = decoded(pool, path)
    assert len(samples) / 16_000 == pytest.approx(6, abs=0.2)
    assert warnings.keys() == {WarningCode.CLOCK_BREAK}


CLUSTER = b"\x1f\x43\xb6\x75"


def with_cluster_time(content, cluster, new_ms):
    """Return a Matroska file in which one of the clusters has another time."""
    begin = content.index(b"\xe7\x82", cluster) + 2
    return content[:begin] + struct.pack(">H", new_ms) + content[begin + 2 :]


def test_a_jump_beyond_the_end_that_the_file_states_is_no_hole(pool, tmp_path):
    path = write_tracks(
        tmp_path / "audio", "matroska", [spoken(8, "pcm_s16le", 16_000)], cluster_time_limit="4000"
    )
    content = path.read_bytes()
    path.write_bytes(with_cluster_time(content, content.rfind(CLUSTER), 60_000))
    samples, warnings = decoded(pool, path)
    assert len(samples) == 8 * 16_000
    assert warnings.keys() == {WarningCode.CLOCK_BREAK}


def test_a_part_of_an_earlier_time_is_no_hole_before_what_follows(pool, tmp_path):
    path = write_tracks(
        tmp_path / "audio", "matroska", [spoken(12, "pcm_s16le", 16_000)], cluster_time_limit="4000"
    )
    content = path.read_bytes()
    second = content.index(CLUSTER, content.index(CLUSTER) + 4)
    path.write_bytes(with_cluster_time(content, second, 1_000))
    samples, warnings = decoded(pool, path)
    assert len(samples) == 12 * 16_000
    assert warnings.keys() == {WarningCode.CLOCK_BREAK}


@pytest.mark.parametrize("codec", ["pcm_s16le", "libopus"])
def test_a_hole_in_a_live_recording_without_a_stated_length(pool, tmp_path, codec):
    rate = 48_000
    track = spoken(6, codec, rate, played_at=hole_of(300, after=2))
    path = write_tracks(tmp_path / "audio", "matroska", [track], live="1")
    samples, warnings = decoded(pool, path)
    assert len(samples) / 16_000 == pytest.approx(306, abs=0.1)
    assert "no sound for 300.0 s" in warnings[WarningCode.GAP_IN_TIME]


def test_silence_counts_as_audio(tmp_path):
    track = spoken(6, played_at=hole_of(3_000, after=2))
    path = write_tracks(tmp_path / "audio", "matroska", [track], live="1")
    with DecoderPool(1, DecodeLimits(max_seconds=1_000)) as pool, pool.decode(path) as stream:
        with pytest.raises(InputError) as caught:
            list(stream)
        assert caught.value.code is Code.TOO_LONG
        assert 998 * 16_000 < stream.samples <= 1_000 * 16_000

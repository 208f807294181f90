"""What a file has lost on its way is said beside what is left of it."""

import os
import struct

import av
import numpy as np
import pytest

from support.audio.media import Track, tones, write_audio, write_tracks
from whisperfleet.audio.decoder import DecoderPool
from whisperfleet.contract.warnings import WarningCode


@pytest.fixture(scope="module")
def pool():
    with DecoderPool(1) as running:
        running.wait_until_ready()
        yield running


def decoded(pool, path):
    with pool.decode(path) as stream:
        samples = np.concatenate(list(stream))
    return samples, {warning.code: warning.message for warning in stream.warnings}


STATED = {
    "wav": ("wav", "pcm_s16le", 16_000),
    "telephone": ("wav", "adpcm_ima_wav", 8_000),
    "flac": ("flac", "flac", 16_000),
    "wavpack": ("wv", "wavpack", 44_100),
    "webm": ("webm", "libopus", 48_000),
    "mp4": ("mp4", "aac", 44_100),
    "aiff": ("aiff", "pcm_s16be", 44_100),
}


@pytest.mark.parametrize("kind", STATED)
def test_a_file_that_ends_before_the_end_it_states(pool, tmp_path, kind):
    container, *sound = STATED[kind]
    options = {"movflags": "faststart"} if container == "mp4" else {}
    track = Track(tones(sound[1], 1, 10), *sound)
    path = write_tracks(tmp_path / "audio", container, [track], **options)
    assert not decoded(pool, path)[1]
    os.truncate(path, path.stat().st_size // 2)
    samples, warnings = decoded(pool, path)
    assert warnings.keys() == {WarningCode.CUT_SHORT}
    message = warnings[WarningCode.CUT_SHORT]
    seconds = len(samples) / 16_000
    assert 3 < seconds < 7
    assert f"ends at {seconds:.1f} s" in message


@pytest.mark.parametrize("container", ["matroska", "mp4"])
def test_pictures_that_go_on_after_the_sound(pool, tmp_path, container):
    track = Track(tones(44_100, 1, 3), "aac", 44_100)
    path = write_tracks(tmp_path / "video", container, [track], video_seconds=9)
    assert not decoded(pool, path)[1]


def test_a_file_that_cannot_be_read_to_its_end(pool, tmp_path):
    path = write_audio(tmp_path / "audio", "wv", "wavpack", 44_100, seconds=5)
    content = bytearray(path.read_bytes())
    content[12:16] = struct.pack("<I", 0xFFFFFFFF)  # a length that is not known
    path.write_bytes(content[: len(content) // 2])
    warnings = decoded(pool, path)[1]
    assert warnings.keys() == {WarningCode.CUT_SHORT}
    assert "only up to 2.0 s" in warnings[WarningCode.CUT_SHORT]


def test_damaged_packets_are_counted(pool, tmp_path):
    path = write_tracks(tmp_path / "audio", "mp4", [Track(tones(44_100, 1, 5), "flac", 44_100)])
    content = bytearray(path.read_bytes())
    with av.open(path) as file:
        packets = [packet for packet in file.demux(audio=0) if packet.size]
    for packet in packets[10:13]:
        content[packet.pos : packet.pos + 4] = bytes(4)
    path.write_bytes(content)
    warnings = decoded(pool, path)[1]
    assert WarningCode.PACKETS_DROPPED in warnings
    assert warnings[WarningCode.PACKETS_DROPPED].startswith("3 damaged packets were left out")


def test_a_tag_after_the_last_packet_is_no_damage(pool, tmp_path):
    path = write_audio(tmp_path / "audio", "mp3", "mp3", 44_100)
    path.write_bytes(path.read_bytes() + b"APETAGEX" + bytes(200))
    assert not decoded(pool, path)[1]

"""What comes out of the decoder, for good files and for bad ones."""

import itertools
import os
import random
import signal
import time
from pathlib import Path

import av
import numpy as np
import pytest
from faster_whisper.audio import decode_audio

from support.audio.media import flac_of_silence, wav_header, write_audio, write_silent_video
from support.audio.servers import serving
from whisperfleet.audio.decoder import DecodeLimits, DecoderPool
from whisperfleet.audio.decoder_media import CODECS, CONTAINERS, OPEN_OPTIONS
from whisperfleet.contract.codes import Code
from whisperfleet.errors import InputError, JobError


@pytest.fixture(scope="module")
def pool():
    with DecoderPool(1) as running:
        running.wait_until_ready()
        yield running


def decoded(pool, source):
    with pool.decode(source) as stream:
        blocks = list(stream)
    samples = np.concatenate(blocks)
    assert stream.samples == len(samples)
    assert {len(block) for block in blocks[:-1]} <= {16_000}
    assert 0 < len(blocks[-1]) <= 16_000
    assert stream.channels > 0
    return samples


def warnings(pool, source):
    with pool.decode(source) as stream:
        list(stream)
    return {warning.code: warning.message for warning in stream.warnings}


def refusal(pool, source):
    with pytest.raises(InputError) as caught, pool.decode(source) as stream:
        list(stream)
    assert ";" in caught.value.message
    return caught.value.code


FILES = {
    "telephone": ("wav", "pcm_mulaw", 8_000),
    "wav 8 kHz": ("wav", "pcm_s16le", 8_000),
    "wav 16 kHz": ("wav", "pcm_s16le", 16_000),
    "wav 44.1 kHz stereo": ("wav", "pcm_s16le", 44_100, "stereo"),
    "wav 48 kHz stereo 24 bit": ("wav", "pcm_s24le", 48_000, "stereo"),
    "flac 5.1": ("flac", "flac", 48_000, "5.1"),
    "mp3": ("mp3", "mp3", 44_100, "stereo"),
    "ogg opus": ("ogg", "libopus", 48_000, "stereo"),
    "m4a": ("ipod", "aac", 44_100, "stereo"),
    "adts": ("adts", "aac", 22_050),
    "webm": ("webm", "libopus", 48_000),
    "aiff": ("aiff", "pcm_s16be", 44_100),
    "caf": ("caf", "alac", 44_100),
    "w64": ("w64", "pcm_f32le", 32_000),
    "au": ("au", "pcm_s16be", 11_025),
    "ac3": ("ac3", "ac3", 48_000, "stereo"),
    "eac3": ("eac3", "eac3", 48_000, "stereo"),
    "wavpack": ("wv", "wavpack", 44_100, "stereo"),
    "tta": ("tta", "tta", 44_100, "stereo"),
}


@pytest.mark.parametrize("kind", FILES)
def test_the_samples_are_those_of_the_library(pool, tmp_path, kind):
    path = write_audio(tmp_path / "audio", *FILES[kind])
    samples = decoded(pool, path)
    assert samples.dtype == np.int16
    assert not warnings(pool, path)
    np.testing.assert_array_equal(samples.astype(np.float32) / 32768, decode_audio(str(path)))


def test_more_than_the_library_groups_at_a_time(pool, tmp_path):
    path = write_audio(tmp_path / "audio", "wav", "pcm_s16le", 44_100, "stereo", seconds=25)
    np.testing.assert_array_equal(
        decoded(pool, path).astype(np.float32) / 32768, decode_audio(str(path))
    )


@pytest.mark.parametrize("kind", [("mp4", "aac", 44_100), ("matroska", "libopus", 48_000)])
def test_the_sound_of_a_video(pool, tmp_path, kind):
    path = write_audio(tmp_path / "video", *kind, video=True)
    np.testing.assert_array_equal(
        decoded(pool, path).astype(np.float32) / 32768, decode_audio(str(path))
    )


def test_a_file_object_is_decoded_from_its_beginning(pool, tmp_path):
    path = write_audio(tmp_path / "audio", "wav", "pcm_s16le", 16_000)
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        assert len(decoded(pool, file)) == 52_800


def test_what_is_listed_is_in_the_library():
    others = {"libopencore_amrnb", "libopencore_amrwb"}  # of builds with other libraries
    assert CODECS - others <= av.codecs_available
    assert {names.partition(",")[0] for names in CONTAINERS} <= av.formats_available


def test_a_stream_header_that_promises_too_much(pool, tmp_path):
    # As recorders write that do not know the length yet.
    path = tmp_path / "audio"
    path.write_bytes(wav_header(data_bytes=0x7FFFFFFF) + bytes(32_000))
    assert len(decoded(pool, path)) == 16_000
    assert not warnings(pool, path)


@pytest.mark.parametrize(
    ("container", "codec"),
    [("mp3", "mp3"), ("flac", "flac"), ("wav", "pcm_s16le"), ("ogg", "libopus")],
)
def test_a_truncated_file_gives_what_is_there(pool, tmp_path, container, codec):
    path = write_audio(tmp_path / "audio", container, codec, 48_000)
    os.truncate(path, path.stat().st_size // 2)
    assert 10_000 < len(decoded(pool, path)) < 40_000


def test_a_hole_in_the_middle_does_not_end_the_audio(pool, tmp_path):
    path = write_audio(tmp_path / "audio", "mp3", "mp3", 44_100)
    content = bytearray(path.read_bytes())
    content[9_000:12_000] = bytes(3_000)
    path.write_bytes(content)
    assert len(decoded(pool, path)) > 40_000


TEXT = b"These are words about audio, but no audio.\n" * 100
PICTURE = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\x02\0\0\0" + bytes(1_000)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        pytest.param(b"", Code.EMPTY, id="no bytes"),
        pytest.param(wav_header(), Code.EMPTY, id="header alone"),
        pytest.param(wav_header(data_bytes=32_000), Code.EMPTY, id="header that promises"),
        pytest.param(TEXT, Code.NOT_AUDIO, id="text"),
        pytest.param(PICTURE, Code.NOT_AUDIO, id="picture"),
        pytest.param(bytes(100_000), Code.NOT_AUDIO, id="zeros"),
        pytest.param(random.Random(5).randbytes(100_000), Code.NOT_AUDIO, id="noise"),
        pytest.param(
            wav_header(channels=12, data_bytes=24_000) + bytes(24_000),
            Code.TOO_MANY_CHANNELS,
            id="12 channels",
        ),
        pytest.param(
            wav_header(rate=100, data_bytes=2_000) + bytes(2_000), Code.NOT_AUDIO, id="100 Hz"
        ),
        pytest.param(flac_of_silence(14_401, stated=True), Code.TOO_LONG, id="stated length"),
    ],
)
def test_a_bad_file_has_its_code(pool, tmp_path, content, code):
    path = tmp_path / "audio"
    path.write_bytes(content)
    assert refusal(pool, path) is code


def test_a_video_without_sound(pool, tmp_path):
    assert refusal(pool, write_silent_video(tmp_path / "video")) is Code.NOT_AUDIO


def test_a_container_without_its_index(pool, tmp_path):
    path = write_audio(tmp_path / "audio", "ipod", "aac", 44_100)
    os.truncate(path, path.stat().st_size // 2)
    assert refusal(pool, path) is Code.NOT_AUDIO


def test_what_refers_to_other_files_is_not_followed(pool, tmp_path):
    other = write_audio(tmp_path / "other.wav", "wav", "pcm_s16le", 16_000)
    with serving() as server:
        segments = [f"file://{other}", str(other), str(other)[1:], "other.wav", "/etc/passwd"]
        segments.append(server.url("/a.wav"))
        for number, segment in enumerate(segments):
            playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{segment}\n#EXT-X-ENDLIST\n"
            concat = f"ffconcat version 1.0\nfile '{segment}'\n"
            dash = f'<?xml version="1.0"?><MPD type="static"><BaseURL>{segment}</BaseURL></MPD>'
            sdp = f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=audio {server.port} RTP/AVP 0\n"
            for suffix, text in {
                "m3u8": playlist,
                "ffconcat": concat,
                "mpd": dash,
                "sdp": sdp,
            }.items():
                path = tmp_path / f"{number}.{suffix}"
                path.write_text(text)
                assert refusal(pool, path) is Code.NOT_AUDIO
        assert server.connections == 0


@pytest.mark.parametrize("barrier", ["format_whitelist", "protocol_whitelist"])
def test_each_barrier_alone_keeps_a_file_from_opening_another(tmp_path, barrier):
    write_audio(tmp_path / "other.wav", "wav", "pcm_s16le", 16_000)
    path = tmp_path / "list"
    path.write_text("ffconcat version 1.0\nfile other.wav\n")

    def samples(options):
        with path.open("rb") as file, av.open(file, container_options=options) as container:
            return sum(frame.samples for frame in container.decode(audio=0))

    assert samples({}) == 52_800
    with pytest.raises(av.error.FFmpegError):
        samples({barrier: OPEN_OPTIONS[barrier]})


def memory_peak_kib(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def test_twelve_hours_in_a_few_bytes_end_at_the_limit_and_need_no_memory(tmp_path):
    bomb = tmp_path / "bomb.flac"
    bomb.write_bytes(flac_of_silence(12 * 3600, stated=False))
    assert bomb.stat().st_size < 100_000
    with DecoderPool(1, DecodeLimits(max_seconds=1_800)) as pool:
        short = write_audio(tmp_path / "audio", "flac", "flac", 8_000)
        with pool.decode(short) as stream:
            pid = stream._child.pid
            list(stream)
        before = memory_peak_kib(pid)
        stream = pool.decode(bomb)
        assert stream._child.pid == pid
        with pytest.raises(InputError) as caught:
            list(stream)
        assert caught.value.code is Code.TOO_LONG
        # The last block of FLAC is left out whole.
        assert 1_780 * 16_000 < stream.samples <= 1_800 * 16_000
        assert memory_peak_kib(pid) - before < 16 * 1024


def test_a_reader_that_waits_holds_the_decoder_up(pool, tmp_path):
    path = tmp_path / "audio"
    path.write_bytes(flac_of_silence(4_000, stated=True))
    with pool.decode(path) as stream:
        next(stream)
        pid = stream._child.pid

        def processor_ticks():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return int(fields[11]) + int(fields[12])

        ticks = -1
        while ticks != (ticks := processor_ticks()):
            time.sleep(0.2)
        assert memory_peak_kib(pid) < 100 * 1024
        assert sum(len(block) for block in stream) >= 3_999 * 16_000


def test_memory_has_a_limit(tmp_path):
    path = tmp_path / "audio"
    path.write_bytes(flac_of_silence(5, stated=True, rate=655_350, channels=8))
    with DecoderPool(1, DecodeLimits(14_400, memory_bytes=250 * 1024**2)) as pool:
        assert refusal(pool, path) is Code.TOO_LARGE
        assert len(decoded(pool, write_audio(path, "wav", "pcm_s16le", 16_000))) == 52_800


def test_a_process_does_not_grow_with_the_files_it_has_decoded(pool, tmp_path):
    path = write_audio(tmp_path / "audio", "mp3", "mp3", 44_100, "stereo", seconds=1)

    def resident_kib_after(files):
        for _ in range(files):
            with pool.decode(path) as stream:
                pid = stream._child.pid
                list(stream)
        status = Path(f"/proc/{pid}/status").read_text()
        return pid, int(status.partition("VmRSS:")[2].split()[0])

    first, before = resident_kib_after(50)
    last, after = resident_kib_after(250)
    assert first == last
    assert after - before < 2 * 1024


def test_a_decoder_has_neither_secrets_nor_files_nor_room(tmp_path, monkeypatch):
    monkeypatch.setenv("REDIS_PASSWORD", "secret")
    path = write_audio(tmp_path / "audio", "wav", "pcm_s16le", 16_000, seconds=60)
    with DecoderPool(1) as pool, pool.decode(path) as stream:
        next(stream)
        process = Path(f"/proc/{stream._child.pid}")
        assert b"secret" not in (process / "environ").read_bytes()
        opened = {int(entry.name): entry.readlink() for entry in (process / "fd").iterdir()}
        assert [name for number, name in opened.items() if number > 2] == [path]
        limits = (process / "limits").read_text()
        for name in ("Max core file size", "Max file size"):
            assert limits.partition(name)[2].split()[:2] == ["0", "0"]
        assert limits.partition("Max address space")[2].split()[:2] == [str(1024**3)] * 2
        assert 300 <= int(limits.partition("Max cpu time")[2].split()[0]) <= 310


def test_damaged_files_harm_nobody(tmp_path):
    """200 files with bytes changed, cut out, doubled or zeroed: samples, or a reason."""
    rng = random.Random(20)
    kinds = [FILES[kind] for kind in ("wav 8 kHz", "mp3", "ogg opus", "m4a", "webm", "caf")]
    kinds += [("flac", "flac", 16_000), ("adts", "aac", 22_050)]
    originals = [
        write_audio(tmp_path / f"{number}", *kind[:3], seconds=0.4).read_bytes()
        for number, kind in enumerate(kinds)
    ]
    outcomes = {}
    path = tmp_path / "audio"
    with DecoderPool(1, DecodeLimits(max_seconds=60, stall_seconds=30)) as pool:
        for original, _ in itertools.product(originals, range(25)):
            path.write_bytes(mutated(original, rng))
            try:
                with pool.decode(path) as stream:
                    outcome = "samples" if list(stream) else "nothing"
            except JobError as error:
                outcome = error.code
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
        assert len(decoded(pool, write_audio(path, *kinds[0]))) > 0
    assert sum(outcomes.values()) == 200
    assert outcomes.keys() <= {
        *("samples", Code.NOT_AUDIO, Code.EMPTY, Code.TOO_LONG, Code.TOO_LARGE),
        *(Code.TOO_MANY_CHANNELS, Code.DECODER_CRASHED),
    }
    assert outcomes["samples"] > 20


def mutated(original, rng):
    content = bytearray(original)
    for _ in range(rng.choice((1, 4, 32))):
        # Headers are where it hurts, so half of the blows fall there.
        start = rng.randrange(len(content) if rng.random() < 0.5 else min(len(content), 200))
        length = rng.choice((1, 1, 4, 100))
        match rng.randrange(4):
            case 0:
                content[start : start + length] = rng.randbytes(length)
            case 1:
                del content[start : start + length]
            case 2:
                content[start:start] = content[start : start + length]
            case 3:
                content[start : start + length] = rng.choice((b"\0", b"\xff")) * length
        content = content or bytearray(1)
    return bytes(content)


def test_processor_time_that_runs_out_is_the_files_fault(tmp_path):
    path = write_audio(tmp_path / "audio", "wav", "pcm_s16le", 16_000, seconds=60)
    with DecoderPool(1) as pool:
        stream = pool.decode(path)
        next(stream)
        os.kill(stream._child.pid, signal.SIGXCPU)  # as the kernel does at the limit
        with pytest.raises(InputError) as caught:
            list(stream)
        assert caught.value.code is Code.DECODER_TIMEOUT
        assert "processor time" in caught.value.message
        assert len(decoded(pool, path)) == 960_000

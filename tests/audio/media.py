"""Audio files, good and bad, made on the spot."""

import struct
from pathlib import Path

import av
import numpy as np


def tones(rate: int, channels: int, seconds: float) -> np.ndarray:
    """Return int16 samples of shape (samples, channels): a tone a channel, and some noise."""
    times = np.arange(int(rate * seconds)) / rate
    noise = np.random.default_rng(7).standard_normal((len(times), channels))
    pitches = 220 + 110 * np.arange(channels)
    return ((0.4 * np.sin(2 * np.pi * times[:, None] * pitches) + 0.05 * noise) * 32767).astype(
        np.int16
    )


def write_audio(
    path: Path,
    container: str,
    codec: str,
    rate: int,
    layout: str = "mono",
    seconds: float = 3.3,
    *,
    video: bool = False,
) -> Path:
    """Encode tones; with `video`, a small picture track comes first."""
    channels = av.AudioLayout(layout).nb_channels
    sound = av.AudioFrame.from_ndarray(
        tones(rate, channels, seconds).reshape(1, -1), format="s16", layout=layout
    )
    sound.sample_rate = rate
    with av.open(path, "w", format=container) as file:
        pictures = video and _add_pictures(file)
        track = file.add_stream(codec, rate=rate, layout=layout)
        if pictures:
            _mux_pictures(file, pictures, int(seconds * 10))
        resampler = av.AudioResampler(
            format=track.codec_context.format,
            layout=layout,
            rate=rate,
            frame_size=track.codec_context.frame_size or 1024,
        )
        for frame in [*resampler.resample(sound), *resampler.resample(None), None]:
            file.mux(track.encode(frame))
    return path


def write_silent_video(path: Path) -> Path:
    """Encode pictures without a sound track."""
    with av.open(path, "w", format="mp4") as file:
        _mux_pictures(file, _add_pictures(file), 10)
    return path


def _add_pictures(file: av.container.OutputContainer) -> av.VideoStream:
    return file.add_stream("mpeg4", rate=10, width=64, height=48, pix_fmt="yuv420p")


def _mux_pictures(file: av.container.OutputContainer, pictures: av.VideoStream, count: int) -> None:
    for _ in range(count):
        picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
        file.mux(pictures.encode(picture))
    file.mux(pictures.encode(None))


def flac_of_silence(seconds: int, *, stated: bool, rate: int = 8000, channels: int = 1) -> bytes:
    """Return a FLAC stream of silence: 2 bytes a second, whatever it claims about its length."""
    block = 65_535
    total = seconds * rate
    info = struct.pack(">HH6x", block, block)
    info += (rate << 44 | channels - 1 << 41 | 15 << 36 | (total if stated else 0)).to_bytes(
        8, "big"
    )
    parts = [b"fLaC", b"\x80", len(info + bytes(16)).to_bytes(3, "big"), info, bytes(16)]
    for number in range(-(-total // block)):
        header = b"\xff\xf8" + bytes([0x70, channels - 1 << 4 | 0x08])
        header += _utf8(number) + struct.pack(">H", block - 1)
        header += bytes([_crc(header, 8, 0x07)])
        frame = header + bytes(3) * channels  # a constant subframe each: all zero
        parts.append(frame + _crc(frame, 16, 0x8005).to_bytes(2, "big"))
    return b"".join(parts)


def _utf8(number: int) -> bytes:
    # FLAC writes frame numbers like code points, surrogates included.
    return chr(number).encode("utf-8", "surrogatepass")


def _crc(data: bytes, bits: int, polynomial: int) -> int:
    register, top, mask = 0, 1 << bits - 1, (1 << bits) - 1
    for byte in data:
        register ^= byte << bits - 8
        for _ in range(8):
            register = (register << 1 ^ polynomial if register & top else register << 1) & mask
    return register


def wav_header(rate: int = 16_000, channels: int = 1, data_bytes: int = 0) -> bytes:
    """Return the 44 bytes that come before the samples of a 16-bit WAV file."""
    return (
        b"RIFF"
        + struct.pack("<I", 36 + data_bytes)
        + b"WAVEfmt "
        + struct.pack("<IHHIIHH", 16, 1, channels, rate, rate * channels * 2, channels * 2, 16)
        + b"data"
        + struct.pack("<I", data_bytes)
    )

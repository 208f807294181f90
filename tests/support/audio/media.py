"""Audio files, good and bad, made on the spot."""

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import av
import numpy as np
from av.stream import Disposition

SoundPacket: TypeAlias = "av.Packet[av.AudioStream]"
PicturePacket: TypeAlias = "av.Packet[av.VideoStream]"
AnyPacket: TypeAlias = "SoundPacket | PicturePacket"


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
        track = _add_sound(file, codec, rate, layout)
        if pictures:
            _mux_pictures(file, pictures, int(seconds * 10))
        for packet in _encoded_sound(track, sound):
            file.mux(packet)
    return path


@dataclass(frozen=True)
class Track:
    """An audio track to write: samples of shape (samples, channels), and when they are played."""

    samples: np.ndarray
    codec: str
    rate: int
    layout: str = "mono"
    is_default: bool = False
    language: str | None = None
    # From the time (s) of a packet to the one that is written, or None for a packet to lose.
    played_at: Callable[[float], float | None] = float


def write_tracks(
    path: Path, container: str, tracks: list[Track], *, video_seconds: float = 0, **options: str
) -> Path:
    """Encode tracks as they are described; the pictures, if any, begin at 0."""
    with av.open(path, "w", format=container, options=options) as file:
        pictures = video_seconds and _add_pictures(file)
        streams = [_add_sound(file, t.codec, t.rate, t.layout) for t in tracks]
        for stream, track in zip(streams, tracks, strict=True):
            stream.disposition = Disposition.default if track.is_default else Disposition(0)
            if track.language:
                stream.metadata["language"] = track.language
        packets: list[AnyPacket] = []
        if pictures:
            packets += _encoded_pictures(pictures, int(video_seconds * 10))
        for stream, track in zip(streams, tracks, strict=True):
            packets += _played(_encoded(stream, track), track)
        for packet in sorted(packets, key=_decoded_at):
            file.mux(packet)
    return path


def _add_sound(
    file: av.container.OutputContainer, codec: str, rate: int, layout: str
) -> av.AudioStream:
    stream = file.add_stream(codec, rate=rate, layout=layout)
    assert isinstance(stream, av.AudioStream)
    return stream


def _encoded(stream: av.AudioStream, track: Track) -> Iterator[SoundPacket]:
    sound = av.AudioFrame.from_ndarray(
        track.samples.reshape(1, -1), format="s16", layout=track.layout
    )
    sound.sample_rate, sound.time_base, sound.pts = track.rate, Fraction(1, track.rate), 0
    return _encoded_sound(stream, sound)


def _encoded_sound(stream: av.AudioStream, sound: av.AudioFrame) -> Iterator[SoundPacket]:
    codec = stream.codec_context
    resampler = av.AudioResampler(
        format=codec.format,
        layout=sound.layout,
        rate=sound.sample_rate,
        frame_size=codec.frame_size or 1024,
    )
    for frame in [*resampler.resample(sound), *resampler.resample(None), None]:
        yield from stream.encode(frame)


def _decoded_at(packet: AnyPacket) -> Fraction:
    assert packet.dts is not None
    return packet.dts * packet.time_base


def _played(packets: Iterable[SoundPacket], track: Track) -> Iterator[SoundPacket]:
    for packet in packets:
        assert packet.pts is not None
        time = track.played_at(float(packet.pts * packet.time_base))
        if time is not None:
            packet.pts = packet.dts = round(time / packet.time_base)
            yield packet


def write_silent_video(path: Path) -> Path:
    """Encode pictures without a sound track."""
    with av.open(path, "w", format="mp4") as file:
        _mux_pictures(file, _add_pictures(file), 10)
    return path


def _add_pictures(file: av.container.OutputContainer) -> av.VideoStream:
    return file.add_stream("mpeg4", rate=10, width=64, height=48, pix_fmt="yuv420p")


def _mux_pictures(file: av.container.OutputContainer, pictures: av.VideoStream, count: int) -> None:
    for packet in _encoded_pictures(pictures, count):
        file.mux(packet)


def _encoded_pictures(pictures: av.VideoStream, count: int) -> Iterator[PicturePacket]:
    """Yield so many black pictures, ten a second."""
    for _ in range(count):
        picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
        yield from pictures.encode(picture)
    yield from pictures.encode(None)


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

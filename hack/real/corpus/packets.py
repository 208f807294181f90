"""Files whose packets carry times, written as by a recorder that sends nothing in long silence."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.video.stream import VideoStream

from hack.real.corpus.audio import RATE, Samples, resample

if TYPE_CHECKING:  # generic in PyAV's annotations only
    from av.packet import Packet

__all__ = ["UNSENT_SECONDS", "write_film", "write_sound"]

# Every codec and container here takes it.
_FILE_RATE: Final = 48_000
# A packet is sent where sound is at most so far from it, so a longer silence has a hole in it.
_NEAR_SECONDS: Final = 0.75
UNSENT_SECONDS: Final = 2 * _NEAR_SECONDS
_PICTURES_A_SECOND: Final = 10
# A page of Ogg has one time: one packet a page, or a hole would move what is before it on its page.
_OPTIONS: Final = {".ogg": {"page_duration": "20000"}}


def write_sound(codec: str, path: Path, samples: Samples) -> None:
    """Write audio of shape (channels, samples) in the container that the ending names.

    A silence at its beginning is lost: a file begins with its first packet.
    """
    with _opened(path) as file:
        sound = _add_sound(file, codec, samples)
        for packet in _sent(sound, samples):
            file.mux(packet)


def write_film(codec: str, path: Path, samples: Samples) -> None:
    """Write audio of shape (channels, samples) under black pictures that begin at 0."""
    with _opened(path) as file:
        pictures = file.add_stream("mpeg4", rate=_PICTURES_A_SECOND)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        sound = _add_sound(file, codec, samples)
        seconds = samples.shape[-1] / RATE
        packets: list[Packet[Any]] = [*_shown(pictures, seconds), *_sent(sound, samples)]
        for packet in sorted(packets, key=_begin):
            file.mux(packet)


def _opened(path: Path) -> AbstractContextManager[OutputContainer]:
    options = {"fflags": "+bitexact", **_OPTIONS.get(path.suffix, {})}
    return av.open(str(path), "w", options=options)


def _add_sound(file: OutputContainer, codec: str, samples: Samples) -> AudioStream:
    layout = "mono" if len(samples) == 1 else "stereo"
    stream = file.add_stream(codec, rate=_FILE_RATE, layout=layout)
    # The types of PyAV know few codecs by name.
    assert isinstance(stream, AudioStream)
    return stream


def _shown(pictures: VideoStream, seconds: float) -> Iterator["Packet[VideoStream]"]:
    black = np.zeros((pictures.height, pictures.width, 3), np.uint8)
    for _ in range(round(seconds * _PICTURES_A_SECOND)):
        yield from pictures.encode(av.VideoFrame.from_ndarray(black, "rgb24"))
    yield from pictures.encode(None)


def _sent(sound: AudioStream, samples: Samples) -> Iterator["Packet[AudioStream]"]:
    """Yield the packets of the audio but those that are far from any sound."""
    (sounding,) = np.nonzero(samples.any(axis=0))
    for packet in _encoded(sound, samples):
        near = np.array([-_NEAR_SECONDS, _seconds(packet) + _NEAR_SECONDS]) + _begin(packet)
        first, beyond = np.searchsorted(sounding, near * RATE)
        if first < beyond:
            yield packet


def _encoded(sound: AudioStream, samples: Samples) -> Iterable["Packet[AudioStream]"]:
    length = samples.shape[-1] * _FILE_RATE // RATE
    played = np.stack([resample(channel, length) for channel in samples])
    frame = av.AudioFrame.from_ndarray(played, "fltp", sound.layout.name)
    frame.sample_rate, frame.time_base, frame.pts = _FILE_RATE, Fraction(1, _FILE_RATE), 0
    return [*sound.encode(frame), *sound.encode(None)]


def _begin(packet: "Packet[Any]") -> float:
    assert packet.pts is not None
    return float(packet.pts * packet.time_base)


def _seconds(packet: "Packet[Any]") -> float:
    return float((packet.duration or 0) * packet.time_base)

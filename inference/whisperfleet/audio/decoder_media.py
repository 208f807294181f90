"""What a decoder process opens, and the frames that it takes out of it.

The lists here are the whole of what it can read: no playlists, no pictures, no names of files.
"""

import errno
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer

from whisperfleet.audio.decoder_notes import Notes
from whisperfleet.audio.decoder_protocol import DecodeLimits, Problem

if TYPE_CHECKING:  # generic in PyAV's annotations only
    from av.packet import Packet

__all__ = [
    "CODECS",
    "CONTAINERS",
    "OPEN_OPTIONS",
    "Refused",
    "check_shape",
    "decoded_frames",
    "open_container",
]

# Names of libav's demuxers. No playlists (hls, dash, concat), images, subtitles or devices.
CONTAINERS = frozenset(
    """
    aac ac3 aiff amr amrnb amrwb ape asf au avi caf dts dtshd eac3 flac flv matroska,webm mlp
    mov,mp4,m4a,3gp,3g2,mj2 mp3 mpeg mpegts ogg truehd tta w64 wav wv
    """.split()
)

# Names of libav's decoders. Audio only: a video stream is never decoded, not even to probe it.
CODECS = frozenset(
    """
    aac aac_fixed aac_latm ac3 ac3_fixed adpcm_ima_qt adpcm_ima_wav adpcm_ms adpcm_swf alac amrnb
    amrwb ape dca eac3 flac g722 g723_1 g726 g726le g729 gsm gsm_ms libopencore_amrnb
    libopencore_amrwb libopus mlp mp1 mp1float mp2 mp2float mp3 mp3float nellymoser opus pcm_alaw
    pcm_bluray pcm_dvd pcm_f32be pcm_f32le pcm_f64be pcm_f64le pcm_mulaw pcm_s16be pcm_s16be_planar
    pcm_s16le pcm_s16le_planar pcm_s24be pcm_s24le pcm_s24le_planar pcm_s32be pcm_s32le
    pcm_s32le_planar pcm_s8 pcm_s8_planar pcm_u16be pcm_u16le pcm_u24be pcm_u24le pcm_u32be
    pcm_u32le pcm_u8 speex truehd truespeech tta vorbis wavpack wmalossless wmapro wmav1 wmav2
    wmavoice
    """.split()
)

# Each of the first and the last is enough to keep a file from opening another.
OPEN_OPTIONS = {
    "format_whitelist": ",".join(sorted(CONTAINERS)),
    "codec_whitelist": ",".join(sorted(CODECS)),
    # Not empty, which would mean the default ones; there is no such protocol.
    "protocol_whitelist": "none",
}

# Below, one frame of 65,535 samples becomes minutes of output at once; above, nothing records.
MIN_RATE_HZ, MAX_RATE_HZ = 1_000, 768_000
# A hole in a recording loses a few packets. A thousand in a row (26 s of mp3) is no recording.
MAX_DAMAGED_PACKETS = 1_000
# What comes after the last sound and is no sound may be a tag or half a packet: nothing is lost.
TRAILING_PACKETS = 2

READ_BYTES = 64 * 1024


class Refused(Exception):  # noqa: N818 - a verdict on the file, not a fault of this process
    """The file cannot be decoded; the process can go on."""

    def __init__(self, problem: Problem, detail: object = "") -> None:
        super().__init__(problem, detail)
        self.problem = problem
        self.detail = str(detail)[:80]


def open_container(file: io.RawIOBase) -> InputContainer:
    """Open a file of a known kind, in a way that can open nothing else.

    Raises Refused, and OSError where the disk does not give the file back.
    """
    try:
        container = av.open(
            file,
            mode="r",
            metadata_errors="ignore",
            buffer_size=READ_BYTES,
            container_options=OPEN_OPTIONS,
        )
    except MemoryError:
        raise
    except (av.error.FFmpegError, ValueError):
        raise Refused(Problem.UNKNOWN_CONTAINER) from None
    except OSError as error:
        if not _is_of_the_files_making(error):
            raise
        raise Refused(Problem.UNKNOWN_CONTAINER) from None
    if container.format.name not in CONTAINERS:
        container.close()
        raise Refused(Problem.UNKNOWN_CONTAINER)
    return container


def check_shape(channels: int, rate_hz: int, limits: DecodeLimits) -> None:
    """Refuse shapes that no recording has; 0 means that the header does not say."""
    if channels > limits.max_channels:
        raise Refused(Problem.TOO_MANY_CHANNELS, channels)
    if rate_hz and not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise Refused(Problem.SAMPLE_RATE, rate_hz)


def decoded_frames(
    container: InputContainer, stream: AudioStream, limits: DecodeLimits, notes: Notes
) -> Iterator[AudioFrame]:
    """Yield the frames that can be decoded, leaving out damaged packets."""
    empty = True
    damaged_in_a_row = 0
    for packet in packets(container, stream, notes):
        try:
            frames = stream.decode(packet)
        except MemoryError:
            raise
        except av.error.FFmpegError:
            damaged_in_a_row += 1
            if damaged_in_a_row > MAX_DAMAGED_PACKETS:
                raise Refused(Problem.DAMAGED) from None
            continue
        for frame in frames:
            check_shape(frame.layout.nb_channels, frame.sample_rate, limits)
            if not frame.sample_rate:
                raise Refused(Problem.SAMPLE_RATE, 0)
            notes.damaged_packets += damaged_in_a_row
            damaged_in_a_row = 0
            notes.channels = notes.channels or frame.layout.nb_channels
            empty = False
            yield frame
    if empty:
        raise Refused(Problem.DAMAGED if damaged_in_a_row else Problem.EMPTY)
    if damaged_in_a_row > TRAILING_PACKETS:
        notes.damaged_packets += damaged_in_a_row


def packets(
    container: InputContainer, stream: AudioStream, notes: Notes
) -> "Iterator[Packet[AudioStream]]":
    """Yield packets up to the end of the file, or to where it cannot be followed any more.

    Raises OSError where that is the disk's doing.
    """
    try:
        yield from container.demux(stream)
    except MemoryError:
        raise
    except av.error.FFmpegError:
        notes.broken_off.add(notes.position)
    except OSError as error:
        if not _is_of_the_files_making(error):
            raise
        notes.broken_off.add(notes.position)


def _is_of_the_files_making(error: OSError) -> bool:
    """Return whether a damaged file sent its reader to a place that no file can have."""
    return error.errno in {errno.EINVAL, errno.EOVERFLOW}

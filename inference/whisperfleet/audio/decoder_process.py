"""A process that decodes audio files, one after another, and may die of any of them.

Started by `decoder` as ``python -m whisperfleet.audio.decoder_process LIMITS PARENT_PID`` with a
socket as standard input; `decoder_protocol` says what is spoken there. It gets open files and never
a name or an address, knows only the containers and codecs listed here, cannot open anything else,
and has hard limits on processor time, memory, files and output. Only PyAV and the standard library
are imported.
"""

import ctypes
import gc
import io
import json
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import av
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer

from whisperfleet.audio.decoder_protocol import (
    BLOCK_BYTES,
    BYTES_PER_SAMPLE,
    HEADER,
    SAMPLE_RATE,
    DecodeLimits,
    Kind,
    Problem,
)

if TYPE_CHECKING:  # generic in PyAV's annotations only
    from av.packet import Packet

# Names of libav's demuxers. No playlists (hls, dash, concat), images, subtitles or devices.
CONTAINERS = frozenset(
    """
    aac aiff amr amrnb amrwb asf au avi caf flac flv matroska,webm mov,mp4,m4a,3gp,3g2,mj2 mp3 mpeg
    mpegts ogg w64 wav
    """.split()
)
# Those of them whose headers state a duration that does not rest on a guess.
DURATION_STATED = frozenset({"flac", "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "ogg"})

# Names of libav's decoders. Audio only: a video stream is never decoded, not even to probe it.
CODECS = frozenset(
    """
    aac aac_fixed aac_latm ac3 ac3_fixed adpcm_ima_qt adpcm_ima_wav adpcm_ms adpcm_swf alac amrnb
    amrwb eac3 flac g722 g723_1 g726 g726le g729 gsm gsm_ms libopencore_amrnb libopencore_amrwb
    libopus mp1 mp1float mp2 mp2float mp3 mp3float nellymoser opus pcm_alaw pcm_bluray pcm_dvd
    pcm_f32be pcm_f32le pcm_f64be pcm_f64le pcm_mulaw pcm_s16be pcm_s16be_planar pcm_s16le
    pcm_s16le_planar pcm_s24be pcm_s24le pcm_s24le_planar pcm_s32be pcm_s32le pcm_s32le_planar
    pcm_s8 pcm_s8_planar pcm_u16be pcm_u16le pcm_u24be pcm_u24le pcm_u32be pcm_u32le pcm_u8 speex
    truespeech vorbis wmalossless wmapro wmav1 wmav2 wmavoice
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

READ_BYTES = 64 * 1024
OPEN_FILES = 16


class Refused(Exception):  # noqa: N818 - a verdict on the file, not a fault of this process
    """The file cannot be decoded; the process can go on."""

    def __init__(self, problem: Problem, detail: object = "") -> None:
        super().__init__(problem, detail)
        self.problem = problem
        self.detail = str(detail)[:80]


def main(argv: list[str]) -> None:
    """Decode the files that come over standard input until it closes."""
    limits = DecodeLimits.from_json(argv[0])
    # How long this process lives is its parent's decision, also when a terminal signals the group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    die_with_parent(int(argv[1]))
    parent = socket.socket(fileno=0)
    set_limits(limits)
    # What is loaded stays; so the collection after each file looks at that file's objects only.
    gc.freeze()
    try:
        send(parent, Kind.READY)
        while file := receive_file(parent):
            with file:
                decode(file, parent, limits)
            # The library's filter graphs hang in reference cycles (SYSTRAN/faster-whisper#390).
            gc.collect()
    except (BrokenPipeError, ConnectionResetError):
        return  # the parent has closed its end


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent ends, even in the middle of a file."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)
        if os.getppid() != parent_pid:
            sys.exit("the parent ended before this process began")


def set_limits(limits: DecodeLimits) -> None:
    """Give up what decoding does not need, for good."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))


def allow_processor_time(seconds: int) -> None:
    """Let this process use so much more processor time; SIGXCPU ends it after that."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(time.process_time()) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def receive_file(parent: socket.socket) -> io.FileIO | None:
    """Return the next file, at its beginning; None when the parent is done."""
    order, descriptors, _, _ = socket.recv_fds(parent, 1, 1)
    if not order or not descriptors:
        return None
    file = io.FileIO(descriptors[0], "r")
    file.seek(0)
    return file


def send(parent: socket.socket, kind: bytes, payload: bytes | memoryview = b"") -> None:
    """Send one frame."""
    parent.sendall(HEADER.pack(kind, len(payload)) + payload)


def decode(file: io.FileIO, parent: socket.socket, limits: DecodeLimits) -> None:
    """Send the samples of a file, then its end or what is wrong with it."""
    allow_processor_time(limits.cpu_seconds)
    try:
        for block in blocks(samples(file, limits), limits):
            send(parent, Kind.BLOCK, block)
        send(parent, Kind.END)
    except Refused as refused:
        failure = {"problem": refused.problem, "detail": refused.detail}
        send(parent, Kind.FAILURE, json.dumps(failure).encode())


def blocks(pieces: Iterator[bytes], limits: DecodeLimits) -> Iterator[bytes]:
    """Cut pieces of any length into blocks of one second; the last is what remains."""
    allowed = int(limits.max_seconds * SAMPLE_RATE) * BYTES_PER_SAMPLE
    seen = 0
    pending = bytearray()
    for piece in pieces:
        seen += len(piece)
        if seen > allowed:
            raise Refused(Problem.TOO_LONG)
        pending += piece
        while len(pending) >= BLOCK_BYTES:
            yield bytes(pending[:BLOCK_BYTES])
            del pending[:BLOCK_BYTES]
    if not seen:
        raise Refused(Problem.EMPTY)
    if pending:
        yield bytes(pending)


def samples(file: io.FileIO, limits: DecodeLimits) -> Iterator[bytes]:
    """Yield the first audio stream of a file as 16-bit mono at 16 kHz.

    The same steps as `faster_whisper.audio.decode_audio`, so the same samples, but for damaged
    packets: these are left out here, where the library silently ends.
    """
    try:
        with open_container(file) as container:
            stream = first_audio(container, limits)
            yield from resample(decoded_frames(container, stream, limits))
    except MemoryError:
        raise Refused(Problem.OUT_OF_MEMORY) from None


def open_container(file: io.FileIO) -> InputContainer:
    """Open a file of a known kind, in a way that can open nothing else."""
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
    except (av.error.FFmpegError, OSError, ValueError):
        raise Refused(Problem.UNKNOWN_CONTAINER) from None
    if container.format.name not in CONTAINERS:
        container.close()
        raise Refused(Problem.UNKNOWN_CONTAINER)
    return container


def first_audio(container: InputContainer, limits: DecodeLimits) -> AudioStream:
    """Return the first audio stream, if it may be decoded."""
    if not container.streams.audio:
        raise Refused(Problem.NO_AUDIO_STREAM, container.format.name)
    stream = container.streams.audio[0]
    codec = stream.codec_context
    # None where libav has no decoder, whatever PyAV's annotations say.
    name = getattr(codec, "name", None)
    if name not in CODECS:
        raise Refused(Problem.UNKNOWN_CODEC, name or "")
    stated = container.format.name in DURATION_STATED
    if stated and (container.duration or 0) > limits.max_seconds * av.time_base:
        raise Refused(Problem.TOO_LONG)
    check_shape(codec.layout.nb_channels, codec.sample_rate, limits)
    codec.thread_count = 1
    return stream


def check_shape(channels: int, rate_hz: int, limits: DecodeLimits) -> None:
    """Refuse shapes that no recording has; 0 means that the header does not say."""
    if channels > limits.max_channels:
        raise Refused(Problem.TOO_MANY_CHANNELS, channels)
    if rate_hz and not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise Refused(Problem.SAMPLE_RATE, rate_hz)


def decoded_frames(
    container: InputContainer, stream: AudioStream, limits: DecodeLimits
) -> Iterator[AudioFrame]:
    """Yield the frames that can be decoded, leaving out damaged packets."""
    empty = True
    damaged = damaged_in_a_row = 0
    for packet in packets(container, stream):
        try:
            frames = stream.decode(packet)
        except MemoryError:
            raise
        except av.error.FFmpegError:
            damaged += 1
            damaged_in_a_row += 1
            if damaged_in_a_row > MAX_DAMAGED_PACKETS:
                raise Refused(Problem.DAMAGED) from None
            continue
        for frame in frames:
            check_shape(frame.layout.nb_channels, frame.sample_rate, limits)
            damaged_in_a_row = 0
            empty = False
            # The resampler would fill gaps between timestamps; the library ignores them as well.
            frame.pts = None
            yield frame
    if empty:
        raise Refused(Problem.DAMAGED if damaged else Problem.EMPTY)


def packets(container: InputContainer, stream: AudioStream) -> "Iterator[Packet[AudioStream]]":
    """Yield packets up to the end of the file, or to where it cannot be followed any more."""
    try:
        yield from container.demux(stream)
    except MemoryError:
        raise
    except (av.error.FFmpegError, OSError):
        return


def resample(frames: Iterator[AudioFrame]) -> Iterator[bytes]:
    """Yield 16-bit mono samples at 16 kHz; a change of format within the stream starts afresh."""
    shape = None
    fifo, resampler = AudioFifo(), new_resampler()
    for frame in frames:
        if shape != (shape := (frame.format.name, frame.layout.name, frame.sample_rate)):
            yield from drain(fifo, resampler)
            fifo, resampler = AudioFifo(), new_resampler()
        fifo.write(frame)
        # A second at a time: the filter graph costs per call, not per sample.
        if fifo.samples >= frame.sample_rate:
            yield from convert(fifo.read(), resampler)
    yield from drain(fifo, resampler)


def new_resampler() -> AudioResampler:
    """Return a resampler to what Whisper takes."""
    return AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)


def drain(fifo: AudioFifo, resampler: AudioResampler) -> Iterator[bytes]:
    """Yield what is left in both."""
    if fifo.samples:
        yield from convert(fifo.read(), resampler)
    yield from convert(None, resampler)


def convert(frame: AudioFrame | None, resampler: AudioResampler) -> Iterator[bytes]:
    """Yield the samples that a frame, or None for the end, brings out of the resampler."""
    for converted in resampler.resample(frame):
        if converted is not None:
            # A plane may be padded beyond its samples.
            yield bytes(memoryview(converted.planes[0])[: converted.samples * BYTES_PER_SAMPLE])


if __name__ == "__main__":
    main(sys.argv[1:])

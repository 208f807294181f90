"""How long a file says that it is, where that does not rest on a guess of libav's."""

import io
import os
import re
import struct

import av
from av.audio.stream import AudioStream
from av.container import InputContainer

__all__ = ["stated_seconds", "stated_track_seconds", "stated_wav_seconds"]

# Containers whose headers state a duration, and those in which each track has one of its own.
WHOLE_STATED = frozenset({"asf", "flac", "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "ogg"})
TRACK_STATED = frozenset({"aiff", "ape", "caf", "flac", "mov,mp4,m4a,3gp,3g2,mj2", "tta", "wv"})
MATROSKA = "matroska,webm"

# Recorders that do not know the length yet write the largest number there is, or nearly.
LARGEST_WAV_BYTES = 0x7F00_0000
WAV_HEAD_BYTES = 64 * 1024

CLOCK_TIME = re.compile(r"(\d{1,4}):(\d\d):(\d\d(?:\.\d{1,9})?)")


def stated_seconds(container: InputContainer) -> float | None:
    """Return the duration that the header states for the whole file."""
    duration = container.duration or 0
    if container.format.name not in WHOLE_STATED or duration <= 0 or is_estimate(container):
        return None
    return duration / av.time_base - begins_at(container)


def begins_at(container: InputContainer) -> float:
    """Return the time (s) from which a stated duration is counted; not 0 in Matroska alone.

    There it is the time of the end: a later part of a live stream says how long the whole is.
    """
    start = container.start_time if container.format.name == MATROSKA else None
    return (start or 0) / av.time_base


def is_estimate(container: InputContainer) -> bool:
    """Whether libav made the duration up from the bit rates of the tracks and the file's size.

    It does so for Matroska that was written to a pipe. The file's own bit rate is then their sum,
    while it is size by duration where the header has a duration: more, because of the headers.
    """
    if container.format.name != MATROSKA:
        return False
    rates = [getattr(stream, "bit_rate", None) or 0 for stream in container.streams]
    return sum(rates) > 0 and abs(container.bit_rate - sum(rates)) <= sum(rates) / 1_000


def stated_track_seconds(container: InputContainer, stream: AudioStream) -> float | None:
    """Return how long the file says that one track is."""
    name = container.format.name
    if name in TRACK_STATED:
        duration, unit = stream.duration, stream.time_base
        return float(duration * unit) if duration and unit and duration > 0 else None
    if name != MATROSKA:
        return None
    for key, value in stream.metadata.items():
        # The name may carry a language, as in DURATION-eng.
        if key.upper().partition("-")[0] == "DURATION" and (match := CLOCK_TIME.match(value)):
            hours, minutes, seconds = match.groups()
            end = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
            return end - begins_at(container)
    return stated_seconds(container) if len(container.streams) == 1 else None


def stated_wav_seconds(file: io.FileIO, read: float) -> float | None:
    """Return how long the header of a WAV file says that it is, where less of it is there.

    `read` is what was (s). libav itself tells the smaller of the two.
    """
    head = os.pread(file.fileno(), WAV_HEAD_BYTES, 0)
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return None
    at = 12
    while at + 8 <= len(head):
        name, size = struct.unpack_from("<4sI", head, at)
        at += 8
        if name == b"data":
            present = os.fstat(file.fileno()).st_size - at
            is_cut = 0 < present < size < LARGEST_WAV_BYTES
            return read * size / present if is_cut else None
        at += size + size % 2
    return None

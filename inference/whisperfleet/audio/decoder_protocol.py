"""What a decoder process and its parent say to each other over one Unix stream socket.

Both speak in frames: a kind of one byte, the length of the payload as an unsigned 32-bit integer in
network order, the payload. The parent knows one: `D`, with an open file descriptor beside it
(SCM_RIGHTS) and an `AudioSelection` as JSON: decode this of that file. Closing its end tells the
process to go. The process answers:

====== =========================================================================================
`R`    ready: sent once, when the libraries are loaded and the limits are set
`I`    JSON `{"channels": n}`: how many the chosen track has; once, before the first block
`B`    a block of samples: native 16-bit signed, mono, 16 kHz; 1 s each, the last one shorter
`W`    JSON `{"finding": <Finding>, "detail": {...}}`: what the samples lack; before the end
`E`    the end of the file; the process awaits the next file
`F`    failure: JSON `{"problem": <Problem>, "detail": <a few letters>}`; awaits the next file
====== =========================================================================================

The socket's buffer holds a few blocks; when it is full the process waits, so a slow reader bounds
the memory of both. Only the standard library is imported here: the process shares this module.
"""

import json
import math
import struct
from dataclasses import asdict, dataclass
from enum import StrEnum

__all__ = [
    "HEADER",
    "MAX_PAYLOAD_BYTES",
    "SAMPLE_RATE",
    "AudioSelection",
    "DecodeLimits",
    "Finding",
    "Kind",
    "Problem",
]

SAMPLE_RATE = 16_000
BYTES_PER_SAMPLE = 2
BLOCK_BYTES = SAMPLE_RATE * BYTES_PER_SAMPLE
# No frame is longer than a block; a parent trusts no length above it.
MAX_PAYLOAD_BYTES = BLOCK_BYTES

HEADER = struct.Struct("!cI")


class Kind:
    """The first byte of a frame."""

    DECODE = b"D"
    READY = b"R"
    INFORMATION = b"I"
    BLOCK = b"B"
    WARNING = b"W"
    END = b"E"
    FAILURE = b"F"


class Problem(StrEnum):
    """What a decoder process found wrong with a file. The parent puts it into words."""

    UNKNOWN_CONTAINER = "unknown_container"
    NO_AUDIO_STREAM = "no_audio_stream"
    NO_SUCH_TRACK = "no_such_track"
    UNKNOWN_CODEC = "unknown_codec"
    SAMPLE_RATE = "sample_rate"
    DAMAGED = "damaged"
    EMPTY = "empty"
    TOO_LONG = "too_long"
    TOO_MANY_CHANNELS = "too_many_channels"
    OUT_OF_MEMORY = "out_of_memory"
    UNREADABLE = "unreadable"


class Finding(StrEnum):
    """What the samples lack although they were decoded. Each at most once a file.

    The values are those of `WarningCode`, which a process without pydantic cannot import.
    """

    CUT_SHORT = "cut_short"
    PACKETS_DROPPED = "packets_dropped"
    GAP_IN_TIME = "gap_in_time"
    CLOCK_BREAK = "clock_break"
    TRACK_LEFT_OUT = "track_left_out"
    TRACK_SILENT = "track_silent"
    CHANNEL_MISSING = "channel_missing"
    CHANNELS_CANCEL = "channels_cancel"


@dataclass(frozen=True, slots=True)
class AudioSelection:
    """What of a file is wanted.

    `track` counts its audio tracks from 1; None is the one that the container marks as default,
    else the first. `channel` counts the channels of the track from 0; None is their mix.
    """

    track: int | None = None
    channel: int | None = None

    def __post_init__(self) -> None:
        if self.track is not None and self.track < 1:
            raise ValueError("tracks are counted from 1")
        if self.channel is not None and self.channel < 0:
            raise ValueError("channels are counted from 0")

    def to_json(self) -> str:
        """Return the selection as an order carries it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "AudioSelection":
        """Return the selection that `to_json` wrote."""
        return cls(**json.loads(text))


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What one file may cost.

    `max_seconds` is of decoded audio, `cpu_seconds` of the processor (decoding 4 h of Opus takes
    about 20 s of it), `stall_seconds` of wall clock without any output while the reader waits.
    `memory_bytes` bounds the address space of the process, which is about 220 MB when it is idle.
    """

    max_seconds: float
    max_channels: int = 8
    cpu_seconds: int = 300
    memory_bytes: int = 1024**3
    stall_seconds: float = 60.0

    def __post_init__(self) -> None:
        if not all(0 < value < math.inf for value in asdict(self).values()):
            raise ValueError("every limit of decoding must be a number above 0")

    def to_json(self) -> str:
        """Return the limits as the argument of a decoder process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "DecodeLimits":
        """Return the limits that `to_json` wrote."""
        return cls(**json.loads(text))

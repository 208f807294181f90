"""Put frames on the file's own clock: where that has a hole, silence stands in the samples.

So a position in the samples is the time at which a player plays them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer

from whisperfleet.audio.decoder_lengths import stated_seconds
from whisperfleet.audio.decoder_notes import Notes

__all__ = ["Clock", "Silence", "on_the_clock"]

# Containers whose packets carry times; in all others they are counted from the samples. AVI is none
# of them: it counts packets.
TIMED = frozenset(
    {"asf", "flv", "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "mpeg", "mpegts", "ogg"}
)
# Of Ogg only those of which libav knows how long a packet is: a page has but one time.
TIMED_IN_OGG = frozenset({"libopus", "opus", "vorbis"})
# Those whose clock starts anew when a broadcast does, or counts from when a station went on air.
RESTARTING = frozenset({"flv", "mpeg", "mpegts", "ogg"})

# Times are rounded to milliseconds, packets come late, encoders prime: less than this is no hole.
TOLERANCE_SECONDS = 0.25
# A clock that runs a little fast or slow shows in no single packet. A lost packet does.
STEP_SECONDS = 0.005
SLOW_DRIFT_SECONDS = 1.0

# The longest hole there can be: ffmpeg's own bound for clocks that restart, and an hour.
LONGEST_RESTARTING_SECONDS = 10.0
LONGEST_SECONDS = 3_600.0
# By how much a file may be longer than it says.
BEYOND_STATED_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Silence:
    """Silence up to a time of the file, in seconds."""

    until: float


class Clock:
    """Where in a file its samples are: `position`, in seconds from the beginning of the file."""

    def __init__(self, container: InputContainer, stream: AudioStream, notes: Notes) -> None:
        name = container.format.name
        is_timed = name in TIMED and (name != "ogg" or stream.codec_context.name in TIMED_IN_OGG)
        self.position = 0.0
        self.has_broken = False
        self._notes = notes
        start = container.start_time
        # A file begins with the first of its tracks, at whatever its clock shows then.
        self._start = start / av.time_base if is_timed and start is not None else None
        self._stated = stated_seconds(container)
        self._longest = LONGEST_RESTARTING_SECONDS if name in RESTARTING else LONGEST_SECONDS
        # What was added to the file's clock when it broke.
        self._offset = 0.0
        # What the file's clock should show next.
        self._expected = self._start or 0.0

    def lead(self, frame: AudioFrame, after: float = 0.0) -> float | None:
        """Return by how much a frame is later than the samples before it, and `after` seconds."""
        if self._start is None or frame.time is None:
            return None
        return frame.time - self._start + self._offset - self.position - after

    def jumps_at(self, frame: AudioFrame) -> bool:
        """Whether the frame is not where the samples before it end."""
        lead = self.lead(frame)
        if lead is None or abs(lead) <= TOLERANCE_SECONDS:
            return False
        return self._is_step(frame) or abs(lead) > SLOW_DRIFT_SECONDS

    def _is_step(self, frame: AudioFrame) -> bool:
        return frame.time is not None and abs(frame.time - self._expected) > STEP_SECONDS

    def leap_to(self, frame: AudioFrame) -> Iterator[Silence]:
        """Yield the silence that a jump stands for, or take up the clock as it goes on."""
        lead = self.lead(frame) or 0.0
        if abs(lead - self._offset) <= TOLERANCE_SECONDS:
            self._offset = 0.0  # back on the clock that it had before a break
        elif self._is_step(frame) and self._is_hole(lead):
            if self.position:  # a track may begin later than its file
                self._notes.holes.add(self._notes.position, lead)
            self.position += lead
            yield Silence(self.position)
        else:
            self._notes.clock_breaks.add(self._notes.position)
            self.has_broken = True
            self._offset -= lead

    def _is_hole(self, lead: float) -> bool:
        ends = self._stated
        beyond = ends is not None and self.position + lead > ends + BEYOND_STATED_SECONDS
        return 0 < lead <= self._longest and not beyond

    def count(self, frame: AudioFrame) -> AudioFrame:
        """Count a frame and return it, without its time: the resampler would fill gaps itself."""
        seconds = seconds_of(frame)
        self.position += seconds
        self._notes.position = self._notes.origin + self.position
        self._expected = (self._expected if frame.time is None else frame.time) + seconds
        frame.pts = None
        return frame


def on_the_clock(frames: Iterator[AudioFrame], clock: Clock) -> Iterator[AudioFrame | Silence]:
    """Yield the frames, and silence where the file's clock has a hole.

    A frame that jumps is held until the next one: a single wrong time is no jump.
    """
    held = None
    for frame in frames:
        if held is not None:
            lead = clock.lead(frame, seconds_of(held))
            if lead is None or abs(lead) > TOLERANCE_SECONDS:
                yield from clock.leap_to(held)
            yield clock.count(held)
            held = None
        if clock.jumps_at(frame):
            held = frame
        else:
            yield clock.count(frame)
    if held is not None:
        yield from clock.leap_to(held)
        yield clock.count(held)


def seconds_of(frame: AudioFrame) -> float:
    """Return how long a frame sounds."""
    return frame.samples / frame.sample_rate

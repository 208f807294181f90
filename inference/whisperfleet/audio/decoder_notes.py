"""What a decoder process notes about one file while it decodes it: the matter of its warnings.

Only the standard library is imported.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from whisperfleet.audio.decoder_protocol import Finding

__all__ = ["Notes", "Span"]

# Below about -60 dBFS, out of 32,767: what a track without sound holds is dither.
SILENT_PEAK = 32
# What a length in a header may differ from the samples: priming, padding, rounding.
LENGTH_TOLERANCE_SECONDS = 1.0


@dataclass(slots=True)
class Span:
    """How often something happened, where first, and for how long in all (s)."""

    count: int = 0
    first_at: float = 0.0
    seconds: float = 0.0

    def add(self, at: float, seconds: float = 0.0) -> None:
        """Count one more, which begins `at` seconds into the audio."""
        if not self.count:
            self.first_at = at
        self.count += 1
        self.seconds += seconds

    def as_detail(self) -> dict[str, object]:
        """Return it as the detail of a warning."""
        return {
            "count": self.count,
            "at": round(self.first_at, 3),
            "seconds": round(self.seconds, 3),
        }


@dataclass(slots=True)
class Notes:
    """What one file was found to be and to lack. Seconds are those of the samples handed out."""

    # Where the part of the file begins that is decoded now: 0 but in a chained Ogg file.
    origin: float = 0.0
    # The end of what has been decoded.
    position: float = 0.0
    channels: int = 0
    tracks: int = 0
    track: int = 0
    track_was_asked: bool = False
    languages: list[str] = field(default_factory=list)
    # The largest sample, and the number of another track that is not silent.
    peak: int = 0
    sounding_track: int | None = None
    damaged_packets: int = 0
    # Where the container could not be followed any more, and the links of a chain that were lost.
    broken_off: Span = field(default_factory=Span)
    lost_links: Span = field(default_factory=Span)
    # By how much a stated length exceeds what was read.
    missing: Span = field(default_factory=Span)
    holes: Span = field(default_factory=Span)
    clock_breaks: Span = field(default_factory=Span)
    turned: Span = field(default_factory=Span)
    missing_channel: int | None = None

    @property
    def is_silent(self) -> bool:
        """Whether there was no sound so far."""
        return self.peak <= SILENT_PEAK

    def compare_length(self, stated: float | None, read: float) -> None:
        """Note that a part of the file states a length (s), of which so much was read."""
        if stated is not None and stated - read > LENGTH_TOLERANCE_SECONDS:
            self.missing.add(self.position, stated - read)

    def findings(self) -> Iterator[tuple[Finding, dict[str, object]]]:
        """Yield what to warn of, once the whole file has been decoded."""
        for finding, span in (
            (Finding.GAP_IN_TIME, self.holes),
            (Finding.CLOCK_BREAK, self.clock_breaks),
            (Finding.CHANNELS_CANCEL, self.turned),
        ):
            if span.count:
                yield finding, span.as_detail()
        yield from self._of_the_tracks()
        if self.missing_channel is not None:
            yield (
                Finding.CHANNEL_MISSING,
                {"channel": self.missing_channel, "channels": self.channels},
            )
        if self.damaged_packets:
            yield Finding.PACKETS_DROPPED, {"packets": self.damaged_packets}
        for reason, span in (
            ("links", self.lost_links),
            ("length", self.missing),
            ("broken_off", self.broken_off),
        ):
            if span.count:
                yield Finding.CUT_SHORT, {"reason": reason, **span.as_detail()}
                break

    def _of_the_tracks(self) -> Iterator[tuple[Finding, dict[str, object]]]:
        if self.tracks > 1 and not self.track_was_asked:
            yield (
                Finding.TRACK_LEFT_OUT,
                {"track": self.track, "tracks": self.tracks, "languages": self.languages},
            )
        if self.sounding_track is not None:
            yield (
                Finding.TRACK_SILENT,
                {"track": self.track, "sounding": self.sounding_track},
            )

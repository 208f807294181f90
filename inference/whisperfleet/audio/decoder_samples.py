"""The samples of a file, from its bytes to 16-bit mono at 16 kHz, and what is noted on the way."""

import io
from collections.abc import Iterator

import numpy as np
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from whisperfleet.audio.decoder_channels import Channels
from whisperfleet.audio.decoder_lengths import stated_track_seconds, stated_wav_seconds
from whisperfleet.audio.decoder_media import Refused, decoded_frames, open_container
from whisperfleet.audio.decoder_notes import Notes
from whisperfleet.audio.decoder_ogg import Part, ogg_links
from whisperfleet.audio.decoder_protocol import (
    BLOCK_BYTES,
    BYTES_PER_SAMPLE,
    SAMPLE_RATE,
    AudioSelection,
    DecodeLimits,
    Problem,
)
from whisperfleet.audio.decoder_sniff import is_mangled, sniff
from whisperfleet.audio.decoder_times import Clock, Silence, on_the_clock
from whisperfleet.audio.decoder_tracks import sounding_track, take_track

__all__ = ["blocks", "samples"]

# For these the bytes themselves may tell what was sent instead.
UNREADABLE = (Problem.UNKNOWN_CONTAINER, Problem.DAMAGED, Problem.UNKNOWN_CODEC, Problem.EMPTY)
# With these a link of a chained Ogg file is left out; the others concern the whole file.
LOSES_A_LINK = (*UNREADABLE, Problem.NO_AUDIO_STREAM, Problem.NO_SUCH_TRACK, Problem.SAMPLE_RATE)


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


def samples(
    file: io.FileIO, selection: AudioSelection, limits: DecodeLimits, notes: Notes
) -> Iterator[bytes]:
    """Yield what was selected of a file as 16-bit mono at 16 kHz.

    The same steps as `faster_whisper.audio.decode_audio`, so the same samples, but where the
    library leaves something out or cancels it without a word: damaged packets, where it ends; holes
    in the file's clock; channels that are the other turned round; links of a chained Ogg file.
    """
    if is_mangled(file):
        raise Refused(Problem.UNKNOWN_CONTAINER, sniff(file))
    links = ogg_links(file)
    try:
        if len(links) > 1:
            yield from chained_samples(links, selection, limits, notes)
        else:
            yield from part_samples(file, selection, limits, notes)
            stated = stated_wav_seconds(file, notes.position)
            notes.compare_length(stated, notes.position)
        if notes.is_silent and notes.tracks > 1 and selection.track is None:
            notes.sounding_track = sounding_track(file, notes, limits)
    except MemoryError:
        raise Refused(Problem.OUT_OF_MEMORY) from None
    except Refused as refused:
        if refused.problem in UNREADABLE and (kind := sniff(file)):
            raise Refused(Problem.UNKNOWN_CONTAINER, kind) from None
        raise


def chained_samples(
    links: list[Part], selection: AudioSelection, limits: DecodeLimits, notes: Notes
) -> Iterator[bytes]:
    """Yield the samples of all links that can be decoded, one after the other."""
    first: Refused | None = None
    for link in links:
        try:
            yield from part_samples(link, selection, limits, notes)
        except Refused as refused:
            if refused.problem not in LOSES_A_LINK:
                raise
            first = first or refused
            if refused.problem is not Problem.EMPTY:
                notes.lost_links.add(notes.position)
    if first and not notes.origin:
        raise first


def part_samples(
    file: io.RawIOBase, selection: AudioSelection, limits: DecodeLimits, notes: Notes
) -> Iterator[bytes]:
    """Yield the samples of a file, or of one link of a chain; its end is the next one's origin."""
    with open_container(file) as container:
        stream = take_track(container, selection, limits, notes)
        clock = Clock(container, stream, notes)
        resampler = Resampler(Channels(selection.channel, notes))
        frames = decoded_frames(container, stream, limits, notes)
        try:
            for piece in resampler.pieces(on_the_clock(frames, clock)):
                if notes.is_silent:
                    notes.peak = max(notes.peak, peak_of(np.frombuffer(piece, np.int16)))
                yield piece
        finally:
            notes.origin += resampler.samples / SAMPLE_RATE
        if not clock.has_broken:
            stated = stated_track_seconds(container, stream)
            notes.compare_length(stated, clock.position)


class Resampler:
    """Turns frames into 16-bit mono samples at 16 kHz; `samples` counts them."""

    def __init__(self, channels: Channels) -> None:
        self.samples = 0
        self._channels = channels
        self._renew()

    def _renew(self) -> None:
        self._fifo = AudioFifo()
        self._graph = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)

    def pieces(self, frames: Iterator[AudioFrame | Silence]) -> Iterator[bytes]:
        """Yield the samples; a change of format within the stream starts afresh."""
        shape = None
        for frame in frames:
            if isinstance(frame, Silence):
                yield from self._drain()
                yield from self._silence(frame.until)
                continue
            if shape != (shape := (frame.format.name, frame.layout.name, frame.sample_rate)):
                yield from self._drain()
            self._fifo.write(frame)
            # A second at a time: the filter graph costs per call, not per sample.
            if self._fifo.samples >= frame.sample_rate:
                yield from self._convert(self._fifo.read())
        yield from self._drain()

    def _silence(self, until: float) -> Iterator[bytes]:
        missing = (round(until * SAMPLE_RATE) - self.samples) * BYTES_PER_SAMPLE
        while missing > 0:
            piece = bytes(min(missing, BLOCK_BYTES))
            missing -= len(piece)
            self.samples += len(piece) // BYTES_PER_SAMPLE
            yield piece

    def _drain(self) -> Iterator[bytes]:
        """Yield what is left, and be as new."""
        if self._fifo.samples:
            yield from self._convert(self._fifo.read())
        yield from self._convert(None)
        self._renew()

    def _convert(self, frame: AudioFrame | None) -> Iterator[bytes]:
        """Yield what a frame, or None for the end, brings out of the resampler."""
        heard = frame if frame is None else self._channels.heard(frame)
        for converted in self._graph.resample(heard):
            if converted is not None:
                self.samples += converted.samples
                # A plane may be padded beyond its samples.
                plane = memoryview(converted.planes[0])
                yield bytes(plane[: converted.samples * BYTES_PER_SAMPLE])


def peak_of(values: NDArray[np.int16]) -> int:
    """Return the largest of some samples, whatever its sign."""
    return max(int(values.max()), -int(values.min())) if len(values) else 0

"""Which of a file's audio tracks is decoded, and whether another one has sound."""

import io
import resource
import time
from collections.abc import Iterator
from contextlib import suppress

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition

from whisperfleet.audio.decoder_channels import scaled
from whisperfleet.audio.decoder_lengths import stated_seconds
from whisperfleet.audio.decoder_media import CODECS, Refused, check_shape, open_container
from whisperfleet.audio.decoder_notes import SILENT_PEAK, Notes
from whisperfleet.audio.decoder_protocol import AudioSelection, DecodeLimits, Problem

__all__ = ["sounding_track", "take_track"]


def take_track(
    container: InputContainer, selection: AudioSelection, limits: DecodeLimits, notes: Notes
) -> AudioStream:
    """Return the track that is wanted, if it may be decoded, and note what is left out."""
    tracks = container.streams.audio
    if not tracks:
        raise Refused(Problem.NO_AUDIO_STREAM, container.format.name)
    if selection.track is not None and selection.track > len(tracks):
        raise Refused(Problem.NO_SUCH_TRACK, len(tracks))
    stream = tracks[selection.track - 1] if selection.track is not None else usual_track(tracks)
    if not notes.tracks:
        notes.tracks, notes.track = len(tracks), tracks.index(stream) + 1
        notes.track_was_asked = selection.track is not None
        # More than a person reads, and more than a frame holds, is of no use in a warning.
        notes.languages = [(track.language or "und")[:8] for track in tracks[:20]]
    name = codec_name(stream)
    if name not in CODECS:
        raise Refused(Problem.UNKNOWN_CODEC, name)
    if (stated_seconds(container) or 0.0) > limits.max_seconds:
        raise Refused(Problem.TOO_LONG)
    codec = stream.codec_context
    check_shape(codec.layout.nb_channels, codec.sample_rate, limits)
    codec.thread_count = 1
    return stream


def usual_track(tracks: tuple[AudioStream, ...]) -> AudioStream:
    """Return the track that a player takes: the default one of those it can play."""
    playable = [track for track in tracks if codec_name(track) in CODECS] or list(tracks)
    marked = [track for track in playable if Disposition.default in Disposition(track.disposition)]
    return (marked or playable)[0]


def codec_name(stream: AudioStream) -> str:
    """Return the name of a track's decoder, empty where libav has none."""
    # The context is None then, whatever PyAV's annotations say.
    return getattr(stream.codec_context, "name", None) or ""


def sounding_track(file: io.FileIO, notes: Notes, limits: DecodeLimits) -> int | None:
    """Return the number of another track that is found to have sound.

    The search ends with half of the time that is left to the file: it must not cost the samples.
    """
    processor_seconds, _ = resource.getrlimit(resource.RLIMIT_CPU)
    left = min(limits.stall_seconds, processor_seconds - time.process_time()) / 2
    deadline = time.monotonic() + left
    file.seek(0)
    with open_container(file) as container:
        tracks = list(container.streams.audio)
        others = [
            track
            for number, track in enumerate(tracks, start=1)
            if number != notes.track and codec_name(track) in CODECS
        ]
        for track, frame in frames_of(container, others):
            if float(np.abs(scaled(frame.to_ndarray())).max(initial=0)) * 32_768 > SILENT_PEAK:
                return tracks.index(track) + 1
            if time.monotonic() > deadline:
                break
    return None


def frames_of(
    container: InputContainer, tracks: list[AudioStream]
) -> Iterator[tuple[AudioStream, AudioFrame]]:
    """Yield the frames of several tracks in the order of the file, as far as they can be had."""
    for track in tracks:
        track.codec_context.thread_count = 1
    try:
        for packet in container.demux(tuple(tracks)) if tracks else ():
            with suppress(av.error.FFmpegError):
                for frame in packet.stream.decode(packet):
                    yield packet.stream, frame
    except MemoryError:
        raise
    except (av.error.FFmpegError, OSError):
        return

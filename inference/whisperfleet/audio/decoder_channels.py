"""Which channels of a track are heard: one alone, or a mix in which none cancels another."""

import math

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.layout import AudioLayout
from numpy.typing import NDArray

from whisperfleet.audio.decoder_notes import Notes

# What a frame's samples are.
Samples = (
    NDArray[np.float64]
    | NDArray[np.float32]
    | NDArray[np.int32]
    | NDArray[np.int16]
    | NDArray[np.uint8]
)

__all__ = ["Channels", "scaled"]

# Two microphones of one room are above 0, two telephones near it. A channel that was turned round
# by a cable or a "vocal remover" is near -1. Between the two bounds stays what was.
CANCELS_BELOW, SOUNDS_ABOVE = -0.5, 0.0
# Mean square below about -60 dBFS: noise, whose correlation means nothing.
QUIET = 1e-6


class Channels:
    """Turns the frames of a track, about a second each, into what the resampler mixes."""

    def __init__(self, chosen: int | None, notes: Notes) -> None:
        self._chosen = chosen
        self._notes = notes
        self._turned = False
        self._position = notes.origin

    def heard(self, frame: AudioFrame) -> AudioFrame:
        """Return a frame as it is, one channel of it, or with its right channel turned round."""
        count = frame.layout.nb_channels
        seconds = frame.samples / frame.sample_rate
        at, self._position = self._position, self._position + seconds
        if self._chosen is not None:
            if self._chosen < count:
                return frame if count == 1 else alone(frame, self._chosen)
            self._notes.missing_channel = self._chosen
        pair = front_pair(frame.layout)
        if pair is None or not self._cancels(frame, pair):
            return frame
        self._notes.turned.add(at, seconds)
        return turned_round(frame, pair[1])

    def _cancels(self, frame: AudioFrame, pair: tuple[int, int]) -> bool:
        with np.errstate(all="ignore"):  # a file may hold infinities
            correlation = correlation_of(columns(frame)[list(pair)])
        if correlation is not None:
            bound = SOUNDS_ABOVE if self._turned else CANCELS_BELOW
            self._turned = correlation < bound
        return self._turned


def front_pair(layout: AudioLayout) -> tuple[int, int] | None:
    """Return the places of the left and the right channel, if there are both."""
    names = [channel.name for channel in layout.channels]
    if len(names) == 2:
        return 0, 1
    return (names.index("FL"), names.index("FR")) if {"FL", "FR"} <= set(names) else None


def columns(frame: AudioFrame) -> Samples:
    """Return the samples of a frame, of shape (channels, samples)."""
    samples = frame.to_ndarray()
    return samples if frame.format.is_planar else samples.reshape(-1, frame.layout.nb_channels).T


def correlation_of(pair: Samples) -> float | None:
    """Return Pearson's r of two channels of shape (2, samples), None where either is quiet."""
    heard = scaled(pair)
    heard -= heard.mean(axis=1, keepdims=True)
    left, right = heard
    energies = float(left @ left), float(right @ right)
    if not min(energies) > QUIET * len(left):  # also what is not a number
        return None
    return float(left @ right) / math.sqrt(energies[0] * energies[1])


def scaled(samples: Samples) -> NDArray[np.float32]:
    """Return samples of any format as floats between -1 and 1."""
    floats = samples.astype(np.float32)
    if samples.dtype.kind == "f":
        return floats
    full = np.float32(2 ** (8 * samples.dtype.itemsize - 1))
    return floats / full - (1 if samples.dtype.kind == "u" else 0)


def alone(frame: AudioFrame, channel: int) -> AudioFrame:
    """Return one channel of a frame as a mono frame of the same format."""
    samples = columns(frame)[channel : channel + 1].copy()
    return like(frame, samples, "mono")


def turned_round(frame: AudioFrame, channel: int) -> AudioFrame:
    """Return a frame with one channel negated."""
    samples = frame.to_ndarray().copy()
    planes = samples if frame.format.is_planar else samples.reshape(-1, frame.layout.nb_channels).T
    # Integers are inverted bit by bit: negation has no room for the smallest, nor for unsigned.
    turn = np.negative if samples.dtype.kind == "f" else np.invert
    turn(planes[channel], out=planes[channel])
    return like(frame, samples, frame.layout)


def like(frame: AudioFrame, samples: Samples, layout: AudioLayout | str) -> AudioFrame:
    """Return other samples in a frame of the same format and rate."""
    made = AudioFrame.from_ndarray(samples, format=frame.format.name, layout=layout)
    made.sample_rate = frame.sample_rate
    return made

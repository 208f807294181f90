"""Which voices speak for training and which are kept back for the held-out clips."""

from dataclasses import dataclass
from typing import Final

ACCENTS: Final = ("gmw/en", "gmw/en-US", "gmw/en-GB-x-rp", "gmw/en-US-nyc", "gmw/en-GB-x-gbclan")

# Variants of espeak-ng (files below voices/!v); "" is the accent's own voice.
_TRAINING_VARIANTS: Final = (
    "",
    *("m1", "m2", "m3", "m5", "m6", "f1", "f2", "f3", "f5"),
    *("adam", "Alex", "Andrea", "Andy", "belinda", "benjamin", "caleb", "david", "edward"),
    *("Gene", "Henrique", "iven", "john", "Lee", "linda", "Michael", "pablo", "steph"),
)
_HELD_OUT_VARIANTS: Final = ("m4", "m7", "f4", "Annie", "Denis", "edward2", "steph3", "michel")
_HELD_OUT_ACCENTS: Final = ("gmw/en", "gmw/en-US", "gmw/en-GB-x-rp")

FLITE_VOICES: Final = ("slt", "awb", "rms")


def _combine(accents: tuple[str, ...], variants: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{a}+{v}" if v else a for a in accents for v in variants)


TRAINING_VOICES: Final = _combine(ACCENTS, _TRAINING_VARIANTS)
HELD_OUT_VOICES: Final = _combine(_HELD_OUT_ACCENTS, _HELD_OUT_VARIANTS)


@dataclass(frozen=True)
class Delivery:
    """How a phrase is spoken, in espeak-ng's own units."""

    words_per_minute: int
    """Speaking rate; 175 is espeak-ng's default."""
    pitch: int
    """Base pitch, 0 to 100."""
    pitch_range: int
    """Liveliness of the melody, 0 to 100."""
    word_gap: int
    """Extra pause between words, in units of 10 ms at the default rate."""

"""Makes the clips that the model is scored on, and those that the product ships for its demo.

Held-out clips are decided by the seed alone, never by what the model makes of them. Of the demo
clips, each script is spoken by the first held-out voice that the model understands without a
wrong word: they show the product, not the model's quality.
"""

import json
import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np

from hack.demo_model import vocabulary
from hack.demo_model.mel import noise
from hack.demo_model.speech import SAMPLE_RATE, Espeak, Samples, Utterance
from hack.demo_model.synthesise import WordDeck
from hack.demo_model.voices import HELD_OUT_VOICES, Delivery

logger = logging.getLogger(__name__)

MANIFEST: Final = "clips.json"
_BIT_RATE: Final = 32_000

_SHORT_CLIPS: Final = 40
_SHORT_SECONDS: Final = (3.3, 9.5)
_LONG_SECONDS: Final = (20, 25, 30, 40, 50, 60, 75, 90)
_SILENCES: Final = (1, 8, 32)
# Kind, root mean square at a full scale of 1.0, and length in seconds.
_NOISES: Final = (
    ("white", 0.0005, 6),
    ("white", 0.2, 6),
    ("pink", 0.01, 10),
    ("brown", 0.08, 6),
    ("hum", 0.05, 6),
)

_WORDS_PER_MINUTE: Final = (120, 180)
_PITCHES: Final = (35, 65)
_PHRASE_WORDS: Final = (1, 6)
_PAUSE: Final = (0.5, 1.2)
_LEAD: Final = (0.1, 0.6)
_PEAK_DECIBEL: Final = (-15, -1)
_SNR_DECIBEL: Final = (15, 45)
_FASTEST_SECONDS_PER_WORD: Final = 0.3


@dataclass(frozen=True)
class Segment:
    """A phrase of a clip: times in seconds, words separated by spaces."""

    start: float
    end: float
    text: str


@dataclass(frozen=True)
class Clip:
    """A line of the manifest."""

    file: str
    kind: str
    """short, long, silence, noise or demo."""
    seconds: float
    words: list[str] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    voice: str | None = None
    wpm: int | None = None
    snr_db: float | None = None


@dataclass(frozen=True)
class _Script:
    """What a demo clip says, phrase by phrase."""

    name: str
    phrases: tuple[str, ...]


_DEMO_SCRIPTS: Final = (
    _Script("hello-world", ("hello world", "good morning")),
    _Script("countdown", ("five four three two one", "go")),
    _Script("directions", ("go left", "go right", "stop please")),
    _Script("colours", ("red", "green", "blue")),
    _Script("phone-number", ("zero one nine", "two eight seven", "six four three")),
    _Script("music", ("please play music", "yes", "thanks")),
    _Script(
        "tour",
        (
            "hello world",
            "good morning",
            "please go left",
            "stop",
            "one two three four five six",
            "seven eight nine zero",
            "no",
            "please go right",
            "up",
            "down",
            "green blue red",
            "open",
            "play music please",
            "stop",
            "thanks",
        ),
    ),
)


def make_held_out(folder: Path, seed: int) -> None:
    """Write the held-out clips and their manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    espeak = Espeak()
    clips = [*_speech_clips(folder, rng, espeak), *_wordless_clips(folder, rng)]
    _write_manifest(folder, clips)


def make_demo(folder: Path, seed: int, understands: Callable[[Path, list[str]], bool]) -> None:
    """Write the demo clips, each in the first voice whose words ``understands`` confirms."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    espeak = Espeak()
    clips = []
    for script in _DEMO_SCRIPTS:
        path = folder / f"{script.name}.ogg"
        voices = rng.sample(HELD_OUT_VOICES, len(HELD_OUT_VOICES))
        for attempt, voice in enumerate(voices, start=1):
            samples, clip = _say_script(script, voice, rng, espeak)
            write_opus(path, samples)
            if understands(path, clip.words):
                logger.info("%s: voice %s, attempt %d", path.name, voice, attempt)
                clips.append(clip)
                break
        else:
            raise RuntimeError(f"making {path.name}: the model understands no voice")
    _write_manifest(folder, clips)


def write_opus(path: Path, samples: Samples) -> None:
    """Write mono audio of 16 kHz as Ogg Opus."""
    with av.open(str(path), "w", format="ogg", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libopus", rate=SAMPLE_RATE, layout="mono")
        stream.bit_rate = _BIT_RATE
        pcm = (np.clip(samples, -1, 1) * (2**15 - 1)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        frame.time_base = Fraction(1, SAMPLE_RATE)
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _speech_clips(folder: Path, rng: random.Random, espeak: Espeak) -> Iterator[Clip]:
    deck = WordDeck(rng)
    short = [("short", rng.uniform(*_SHORT_SECONDS)) for _ in range(_SHORT_CLIPS)]
    long = [("long", float(seconds)) for seconds in _LONG_SECONDS]
    voices = _deal_voices(rng, len(short) + len(long))
    for kind, numbered in (("short", short), ("long", long)):
        for number, (_, seconds) in enumerate(numbered, start=1):
            delivery = _delivery(rng)
            voice = next(voices)
            phrases = _random_phrases(rng, deck, espeak, voice, delivery, seconds)
            samples, segments = _lay_out(rng, phrases)
            # Every second clip is clean.
            snr = round(rng.uniform(*_SNR_DECIBEL), 1) if number % 2 else None
            clip = Clip(f"{kind}-{number:02}.ogg", kind, 0.0, segments=segments, voice=voice)
            clip = replace(clip, wpm=delivery.words_per_minute, snr_db=snr)
            write_opus(folder / clip.file, _master(samples, snr, rng))
            yield _with_totals(clip, samples)


def _wordless_clips(folder: Path, rng: random.Random) -> Iterator[Clip]:
    for number, seconds in enumerate(_SILENCES, start=1):
        samples = np.zeros(seconds * SAMPLE_RATE, np.float32)
        clip = Clip(f"silence-{number:02}.ogg", "silence", float(seconds))
        write_opus(folder / clip.file, samples)
        yield clip
    for number, (kind, level, seconds) in enumerate(_NOISES, start=1):
        samples = noise(kind, seconds * SAMPLE_RATE, _numpy_rng(rng)) * np.float32(level)
        clip = Clip(f"noise-{number:02}-{kind}.ogg", "noise", float(seconds))
        write_opus(folder / clip.file, samples)
        yield clip


def _deal_voices(rng: random.Random, count: int) -> Iterator[str]:
    """Yield voices so that all are equally frequent."""
    voices: list[str] = []
    while len(voices) < count:
        voices += rng.sample(HELD_OUT_VOICES, len(HELD_OUT_VOICES))
    return iter(voices)


def _delivery(rng: random.Random) -> Delivery:
    return Delivery(
        words_per_minute=rng.randint(*_WORDS_PER_MINUTE),
        pitch=rng.randint(*_PITCHES),
        pitch_range=rng.randint(30, 60),
        word_gap=rng.randint(0, 3),
    )


def _random_phrases(
    rng: random.Random,
    deck: WordDeck,
    espeak: Espeak,
    voice: str,
    delivery: Delivery,
    seconds: float,
) -> list[tuple[str, Utterance]]:
    """Return phrases that fill about ``seconds`` with their pauses."""
    phrases: list[tuple[str, Utterance]] = []
    filled = _mean(_LEAD)
    while filled < seconds - 1.2:
        words = [vocabulary.WORDS[word] for word in deck.deal(rng.randint(*_PHRASE_WORDS))]
        utterance = espeak.speak(words, voice, delivery)
        hurried = utterance.seconds < _FASTEST_SECONDS_PER_WORD * len(words)
        if hurried or filled + utterance.seconds > seconds:
            continue
        phrases.append((" ".join(words), utterance))
        filled += utterance.seconds + _mean(_PAUSE)
    return phrases


def _lay_out(
    rng: random.Random, phrases: list[tuple[str, Utterance]]
) -> tuple[Samples, list[Segment]]:
    """Return the phrases one after the other with random pauses, and where each one is."""
    parts: list[Samples] = []
    segments: list[Segment] = []
    at = 0
    for text, utterance in phrases:
        gap = int(rng.uniform(*(_PAUSE if segments else _LEAD)) * SAMPLE_RATE)
        parts += [np.zeros(gap, np.float32), utterance.samples]
        start = at + gap
        at = start + len(utterance.samples)
        segments.append(Segment(_seconds(start), _seconds(at), text))
    parts.append(np.zeros(int(rng.uniform(*_LEAD) * SAMPLE_RATE), np.float32))
    return np.concatenate(parts), segments


def _master(samples: Samples, snr_db: float | None, rng: random.Random) -> Samples:
    """Return the speech at a random level, with white or pink noise where asked."""
    peak = 10 ** (rng.uniform(*_PEAK_DECIBEL) / 20)
    mastered = samples * np.float32(peak / np.abs(samples).max())
    if snr_db is not None:
        spoken = mastered[np.abs(mastered) > 0]
        level = float(np.sqrt(np.mean(spoken**2))) * 10 ** (-snr_db / 20)
        sound = noise(rng.choice(("white", "pink")), len(samples), _numpy_rng(rng))
        mastered = mastered + sound * np.float32(level)
    return mastered


def _say_script(
    script: _Script, voice: str, rng: random.Random, espeak: Espeak
) -> tuple[Samples, Clip]:
    delivery = replace(_delivery(rng), words_per_minute=rng.randint(130, 160))
    phrases = [(phrase, espeak.speak(phrase.split(), voice, delivery)) for phrase in script.phrases]
    samples, segments = _lay_out(rng, phrases)
    clip = Clip(f"{script.name}.ogg", "demo", 0.0, segments=segments, voice=voice)
    clip = replace(clip, wpm=delivery.words_per_minute)
    return _master(samples, None, rng), _with_totals(clip, samples)


def _with_totals(clip: Clip, samples: Samples) -> Clip:
    words = [word for segment in clip.segments for word in segment.text.split()]
    return replace(clip, seconds=_seconds(len(samples)), words=words)


def _write_manifest(folder: Path, clips: list[Clip]) -> None:
    lines = ",\n".join(json.dumps(asdict(clip)) for clip in clips)
    (folder / MANIFEST).write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def _seconds(samples: int) -> float:
    return round(samples / SAMPLE_RATE, 3)


def _mean(bounds: tuple[float, float]) -> float:
    return sum(bounds) / 2


def _numpy_rng(rng: random.Random) -> np.random.Generator:
    return np.random.default_rng(rng.getrandbits(32))

"""The bank: thousands of spoken phrases with their word bounds, synthesised once and kept."""

import logging
import multiprocessing
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hack.demo_model import vocabulary
from hack.demo_model.speech import SAMPLE_RATE, Espeak, Samples, Utterance, flite
from hack.demo_model.voices import FLITE_VOICES, TRAINING_VOICES, Delivery

logger = logging.getLogger(__name__)

PHRASES: Final = 14_000
_FLITE_SHARE: Final = 0.08
_REVERBERANT_SHARE: Final = 0.2

# How many words a phrase has: lone words are the cheapest way to learn words, long phrases are
# what the model must cut apart.
_LENGTHS: Final = (1, 2, 3, 4, 5, 6)
_LENGTH_WEIGHTS: Final = (0.34, 0.18, 0.16, 0.14, 0.10, 0.08)
_SHORTEST_SECONDS_PER_WORD: Final = 0.15
_LONGEST_SECONDS_PER_WORD: Final = 1.5


@dataclass(frozen=True)
class Phrase:
    """A spoken phrase of the bank."""

    samples: NDArray[np.int16]
    """Audio at 16 kHz, peak-normalised, shape (samples,)."""
    words: NDArray[np.int32]
    """Indices into ``vocabulary.WORDS``, shape (words,)."""
    bounds: NDArray[np.float32]
    """Start and end of each word in seconds, shape (words, 2); NaN where unknown."""


class WordDeck:
    """Deals words like cards, so that all are equally frequent even in a small bank."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._cards: list[int] = []

    def deal(self, count: int) -> list[int]:
        """Return the next ``count`` indices into ``vocabulary.WORDS``."""
        while len(self._cards) < count:
            cards = list(range(len(vocabulary.WORDS)))
            self._rng.shuffle(cards)
            self._cards += cards
        dealt, self._cards = self._cards[:count], self._cards[count:]
        return dealt


def synthesise(folder: Path, *, seed: int, phrases: int = PHRASES, processes: int = 2) -> None:
    """Write the bank as ``processes`` shards below ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    share = phrases // processes
    # espeak-ng's library has global state and must be loaded by each process for itself.
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=_write_shard, args=(folder / f"{i}.npz", seed + i, share))
        for i in range(processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode != 0 for worker in workers):
        raise RuntimeError("synthesising the bank: a worker failed")


def load(folder: Path) -> list[Phrase]:
    """Return all phrases of the bank."""
    phrases: list[Phrase] = []
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as shard:
            audio, words, bounds = shard["audio"], shard["words"], shard["bounds"]
            audio_parts = np.split(audio, shard["audio_ends"][:-1])
            word_parts = np.split(words, shard["word_ends"][:-1])
            bound_parts = np.split(bounds, shard["word_ends"][:-1])
        phrases += map(Phrase, audio_parts, word_parts, bound_parts)
    return phrases


def _write_shard(path: Path, seed: int, count: int) -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    rng = random.Random(seed)
    deck = WordDeck(rng)
    espeak = Espeak()
    phrases: list[Phrase] = []
    while len(phrases) < count:
        phrase = _speak(rng, deck, espeak)
        if phrase is None:
            continue
        phrases.append(phrase)
        if len(phrases) % 1000 == 0:
            logger.info("%s: %d of %d phrases", path.name, len(phrases), count)
    np.savez(
        path,
        audio=np.concatenate([phrase.samples for phrase in phrases]),
        audio_ends=np.cumsum([len(phrase.samples) for phrase in phrases]),
        words=np.concatenate([phrase.words for phrase in phrases]),
        word_ends=np.cumsum([len(phrase.words) for phrase in phrases]),
        bounds=np.concatenate([phrase.bounds for phrase in phrases]),
    )


def _speak(rng: random.Random, deck: WordDeck, espeak: Espeak) -> Phrase | None:
    """Return a random phrase, or None where a synthesiser stumbled."""
    words = deck.deal(rng.choices(_LENGTHS, _LENGTH_WEIGHTS)[0])
    text = [vocabulary.WORDS[word] for word in words]
    if rng.random() < _FLITE_SHARE:
        utterance = flite(text, rng.choice(FLITE_VOICES), rng.uniform(0.85, 1.3))
    else:
        utterance = espeak.speak(text, rng.choice(TRAINING_VOICES), _delivery(rng))
    seconds_per_word = utterance.seconds / len(words)
    if not _SHORTEST_SECONDS_PER_WORD < seconds_per_word < _LONGEST_SECONDS_PER_WORD:
        return None
    bounds = utterance.bounds
    if bounds is None:
        bounds = np.full((len(words), 2), np.nan, np.float32)
    samples = _normalise(utterance)
    if rng.random() < _REVERBERANT_SHARE:
        samples = _reverberate(samples, rng)
    pcm = (samples * 32_000).astype(np.int16)
    return Phrase(pcm, np.array(words, np.int32), bounds)


def _delivery(rng: random.Random) -> Delivery:
    return Delivery(
        words_per_minute=rng.randint(115, 190),
        pitch=rng.randint(30, 70),
        pitch_range=rng.choice((30, 40, 50, 50, 60)),
        word_gap=rng.choice((0, 0, 0, rng.randint(0, 6))),
    )


def _normalise(utterance: Utterance) -> Samples:
    peak = max(float(np.abs(utterance.samples).max()), 1e-3)
    return utterance.samples / np.float32(peak)


def _reverberate(samples: Samples, rng: random.Random) -> Samples:
    """Return the samples in a small room: an exponentially decaying tail of noise."""
    length = int(SAMPLE_RATE * rng.uniform(0.05, 0.2))
    noise = np.random.default_rng(rng.getrandbits(32)).standard_normal(length)
    response = noise * np.exp(-6 * np.arange(length) / length) * rng.uniform(0.02, 0.07)
    response[0] = 1
    wet = np.convolve(samples, response)[: len(samples) + 400].astype(np.float32)
    return wet / np.float32(np.abs(wet).max())

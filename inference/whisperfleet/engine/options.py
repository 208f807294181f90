"""How a window is decoded: the rules of Whisper's own reference, as one value."""

from dataclasses import dataclass

from whisperfleet.settings import RecognitionSettings

__all__ = ["DecodingOptions"]

# Half of the decoder's 448 positions is the most that a text can have.
_LIMITS = (56, 112, 224)


@dataclass(frozen=True, slots=True)
class DecodingOptions:
    """Beam search first, sampling where its answer fails the quality rules.

    Defaults are those of OpenAI's `transcribe.py` and of faster-whisper 1.2. An answer fails when
    its mean log probability is under `log_prob_threshold` or its text compresses better than
    `compression_ratio_threshold`; the next of `temperatures` is tried then. A window is silent
    when its no-speech probability is over `no_speech_threshold` and its log probability fails.
    `max_initial_timestamp` is in seconds.
    """

    beam_size: int = RecognitionSettings().beam_size
    best_of: int = 5
    patience: float = 1.0
    length_penalty: float = 1.0
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    temperatures: tuple[float, ...] = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    log_prob_threshold: float = -1.0
    no_speech_threshold: float = 0.6
    compression_ratio_threshold: float = 2.4
    max_initial_timestamp: float = 1.0
    suppress_blank: bool = True
    prepend_punctuations: str = "\"'“¿([{-"
    append_punctuations: str = "\"'.。,，!！?？:：”)]}、"  # noqa: RUF001 - fullwidth on purpose
    # A short window that loops must not run to the model's limit of 224 tokens, and all others of
    # its batch wait for it. Speech averages at most 8 syllables a second (Japanese: Pellegrino et
    # al., Language 87(3), 2011), and a syllable costs at most about three tokens (a character
    # spelled in its UTF-8 bytes).
    tokens_per_second: float = 24.0
    tokens_per_window: int = 16  # timestamps and punctuation

    def max_new_tokens(self, seconds: float) -> int:
        """Return how many tokens a window of this length may have, at most.

        One of a few numbers, so that windows of different lengths share a batch: the model's own
        limit for windows over 4 s.
        """
        wanted = self.tokens_per_window + int(self.tokens_per_second * seconds)
        return next((limit for limit in _LIMITS if wanted <= limit), _LIMITS[-1])

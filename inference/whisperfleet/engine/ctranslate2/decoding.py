"""From encoded windows to tokens, many at a time, by the rules of Whisper's reference.

The rules are those of `WhisperModel.generate_with_fallback`, which knows one window: the library's
own batched path leaves them out (SYSTRAN/faster-whisper#1427).
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_compression_ratio

from whisperfleet.engine.ctranslate2.batches import BatchSize, in_batches, is_out_of_memory
from whisperfleet.engine.ctranslate2.forward import Encoded, Forward, Generated, to_model
from whisperfleet.engine.ctranslate2.parallel_calls import ParallelCalls
from whisperfleet.engine.options import DecodingOptions

__all__ = ["Decoded", "Decoder", "Draft", "Passage"]

# Whisper's timestamps are multiples of 20 ms (arXiv:2212.04356, 2.3).
_TIMESTAMP_SECONDS = 0.02


@dataclass(frozen=True, slots=True, eq=False)
class Passage:
    """An encoded window, what precedes its text, and how many tokens that may have."""

    encoded: Encoded
    prompt: tuple[int, ...]
    tokenizer: Tokenizer
    max_new_tokens: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """The text of a passage, and what speaks for and against it."""

    tokens: tuple[int, ...]
    avg_logprob: float
    no_speech_prob: float
    compression_ratio: float
    temperature: float


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """A passage and its texts so far, of which none suffices: one for each temperature tried."""

    passage: Passage
    texts: tuple[Decoded, ...] = ()


class Decoder:
    """Generates text for passages of any jobs, languages and tasks.

    `suppressed` are the ids that no text may hold. At most `batch_size` passages go into a call,
    and fewer where each is sampled more than once. Use it from one thread.
    """

    def __init__(
        self,
        model: Forward,
        options: DecodingOptions,
        suppressed: Sequence[int],
        max_length: int,
        batch_size: int,
        calls: ParallelCalls | None = None,
    ) -> None:
        self._calls = calls or ParallelCalls()
        self._model = model
        self._options = options
        self._suppressed = list(suppressed)
        self._max_length = max_length
        self._searching = BatchSize("beam search", batch_size)
        self._sampling = BatchSize("sampling", max(1, batch_size // options.best_of))

    @property
    def batch_size(self) -> int:
        """How many passages a call may hold, as far as is known."""
        return self._searching.now

    @property
    def retry_size(self) -> int:
        """How many drafts to sample keep all parallel calls at work."""
        return self._sampling.now * self._calls.count

    def temperature(self, draft: Draft) -> float:
        """Return what the next pass over a draft is sampled at; 0 is beam search."""
        return self._options.temperatures[len(draft.texts)]

    def decode(self, drafts: Sequence[Draft]) -> list[Decoded | Draft | Exception]:
        """Make one pass over each draft.

        Returns the text where that is settled, the draft with one text more where the next
        temperature is to be tried, or the exception that this draft alone causes.
        """
        return [
            self._judge(draft, text)
            for draft, text in zip(drafts, self._generate(drafts), strict=True)
        ]

    def rehearse(self, passages: Sequence[Passage]) -> list[Decoded | Exception]:
        """Decode to the last token that a text may have, for the memory that this takes.

        By search as many passages as a call holds at most, and by sampling where that may follow.
        """
        if not passages:
            return []
        endless = [*self._suppressed, passages[0].tokenizer.eot]
        answers: list[Decoded | Exception] = []
        for temperature in sorted({0.0, self._options.temperatures[-1]}):
            attempt = partial(self._attempt, temperature=temperature, suppressed=endless)
            size = self._size(temperature)
            answers += in_batches(attempt, passages[: size.now], size, self._calls)
        return answers

    def _judge(self, draft: Draft, text: Decoded | Exception) -> Decoded | Draft | Exception:
        if isinstance(text, Exception):
            # Memory that runs out leaves an earlier text.
            return self._best(draft.texts) if draft.texts and is_out_of_memory(text) else text
        if self._suffices(text):
            return text
        texts = (*draft.texts, text)
        if len(texts) == len(self._options.temperatures):
            return self._best(texts)
        return Draft(draft.passage, texts)

    def _suffices(self, text: Decoded) -> bool:
        options = self._options
        unlikely = text.avg_logprob < options.log_prob_threshold
        if unlikely and text.no_speech_prob > options.no_speech_threshold:
            return True  # silence
        return not unlikely and text.compression_ratio <= options.compression_ratio_threshold

    def _best(self, texts: Sequence[Decoded]) -> Decoded:
        """Return the likeliest text where none suffices; it counts as sampled at the last try."""
        threshold = self._options.compression_ratio_threshold
        varied = [text for text in texts if text.compression_ratio <= threshold]
        best = max(varied or texts, key=lambda text: text.avg_logprob)
        return Decoded(
            best.tokens,
            best.avg_logprob,
            best.no_speech_prob,
            best.compression_ratio,
            texts[-1].temperature,
        )

    def _generate(self, drafts: Sequence[Draft]) -> list[Decoded | Exception]:
        """Return one attempt at each draft; what cannot share a call goes into several."""

        def attempt(some: Sequence[Draft]) -> list[Decoded]:
            passages = [draft.passage for draft in some]
            return self._attempt(passages, self.temperature(some[0]), self._suppressed)

        def kind(draft: Draft) -> Hashable:
            return self.temperature(draft), *_kind(draft.passage)

        size = self._size(max(map(self.temperature, drafts), default=0.0))
        return in_batches(attempt, drafts, size, self._calls, kind)

    def _size(self, temperature: float) -> BatchSize:
        return self._sampling if temperature > 0 else self._searching

    def _attempt(
        self, passages: Sequence[Passage], temperature: float, suppressed: list[int]
    ) -> list[Decoded]:
        options = self._options
        first = passages[0]
        rows = self._model.generate(
            to_model([passage.encoded for passage in passages]),
            [list(passage.prompt) for passage in passages],
            max_length=_max_length(first.max_new_tokens, len(first.prompt), self._max_length),
            length_penalty=options.length_penalty,
            repetition_penalty=options.repetition_penalty,
            no_repeat_ngram_size=options.no_repeat_ngram_size,
            return_scores=True,
            return_no_speech_prob=True,
            suppress_blank=options.suppress_blank,
            suppress_tokens=suppressed,
            max_initial_timestamp_index=round(options.max_initial_timestamp / _TIMESTAMP_SECONDS),
            **self._strategy(temperature),
        )
        return [
            self._decoded(row, passage.tokenizer, temperature)
            for row, passage in zip(rows, passages, strict=True)
        ]

    def _strategy(self, temperature: float) -> dict[str, Any]:
        if temperature > 0:
            return {
                "beam_size": 1,
                "num_hypotheses": self._options.best_of,
                "sampling_topk": 0,
                "sampling_temperature": temperature,
            }
        return {"beam_size": self._options.beam_size, "patience": self._options.patience}

    def _decoded(self, row: Generated, tokenizer: Tokenizer, temperature: float) -> Decoded:
        tokens = row.sequences_ids[0]
        # The score is the sum of the log probabilities over length ** penalty.
        logprob = row.scores[0] * len(tokens) ** self._options.length_penalty
        return Decoded(
            tokens=tuple(tokens),
            avg_logprob=logprob / (len(tokens) + 1),
            no_speech_prob=row.no_speech_prob,
            compression_ratio=get_compression_ratio(tokenizer.decode(tokens).strip()),
            temperature=temperature,
        )


def _kind(passage: Passage) -> tuple[int, int]:
    """Return what passages have in common that can share a call.

    CTranslate2 wants the start token at one position in all prompts and has one bound for all rows.
    Prompts are never padded to one length: nothing would mask the padding, so it would be heard.
    """
    return len(passage.prompt), passage.max_new_tokens


def _max_length(max_new_tokens: int, prompt_length: int, model_length: int) -> int:
    """Return the `max_length` that lets a text have so many tokens.

    CTranslate2 allows min(max_length / 2, max_length - (prompt - 1)) new ones. A model has
    `model_length` positions in all (448), so half of them is the most that a text can have.
    """
    wanted = max(max_new_tokens + prompt_length - 1, 2 * max_new_tokens)
    return min(wanted, model_length)

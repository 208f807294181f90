"""Whisper on CTranslate2: faster-whisper's own steps for a window, without its loop over a file."""

from collections.abc import Sequence
from typing import Any

import ctranslate2
import numpy as np
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import TranscriptionOptions, get_end, get_suppressed_tokens

from whisperfleet.contract.codes import Code
from whisperfleet.contract.job import Task
from whisperfleet.engine.loading import Device, load_model, start_failure
from whisperfleet.engine.models import ResolvedModel
from whisperfleet.engine.options import DecodingOptions
from whisperfleet.engine.seam import (
    FRAMES_PER_SECOND,
    FRAMES_PER_WINDOW,
    Window,
    WindowRequest,
    WindowResult,
    WindowSegment,
    WindowWord,
)
from whisperfleet.engine.words import WordKeepingModel
from whisperfleet.errors import InputError, JobError, TransientError

__all__ = ["WhisperEngine"]

# CTranslate2 raises RuntimeError for everything. These are the words of cudaErrorMemoryAllocation,
# of cuBLAS's and of its CPU allocator's failure; std::bad_alloc becomes MemoryError.
_OUT_OF_MEMORY = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "failed to allocate")

# The encoder halves the frames: a single one is no position, and nothing can be aligned to it.
_FRAMES_PER_POSITION = 2


class WhisperEngine:
    """One model on one device, ready to run. Use it from one thread."""

    def __init__(self, model: WordKeepingModel, options: DecodingOptions) -> None:
        self._model = model
        self._options = options
        self._tokenizers: dict[tuple[str, Task], Tokenizer] = {}
        self._languages = frozenset(
            language
            for language in model.supported_languages
            if not model.model.is_multilingual
            or model.hf_tokenizer.token_to_id(f"<|{language}|>") is not None
        )
        # The ids to suppress are the same for every language and task.
        self._suppressed = get_suppressed_tokens(self._tokenizer("en", Task.TRANSCRIBE), [-1])

    @classmethod
    def load(
        cls,
        model: ResolvedModel,
        device: Device = "auto",
        compute_type: str = "default",
        cpu_threads: int = 0,
        options: DecodingOptions | None = None,
    ) -> "WhisperEngine":
        """Load a model onto a device.

        `auto` takes the first GPU, or the CPU where there is none; `cuda` never falls back.
        `compute_type` is one of CTranslate2's; `default` keeps the model's own where the device
        can. `cpu_threads` 0 leaves the number to CTranslate2. Raises DeviceUnavailableError or
        ModelUnavailableError.
        """
        loaded = load_model(model, device, compute_type, cpu_threads)
        return cls(loaded, options or DecodingOptions())

    @property
    def mels(self) -> int:
        """The number of mel bands that the encoder takes (80 or 128)."""
        return int(self._model.model.n_mels)

    @property
    def languages(self) -> frozenset[str]:
        """The language codes that the model knows."""
        return self._languages

    @property
    def device(self) -> str:
        """Where the model runs: `cpu` or `cuda`."""
        return str(self._model.model.device)

    def warm_up(self) -> None:
        """Run one window, so that the first job does not pay for kernels and buffers.

        Raises DeviceUnavailableError where the device loads a model and cannot run it, as with a
        missing cuBLAS or too little memory.
        """
        silence = np.zeros((self.mels, FRAMES_PER_WINDOW), np.float32)
        window = Window(silence, WindowRequest(word_timestamps=True))
        try:
            self._recognise(window)
        except (RuntimeError, MemoryError) as error:
            raise start_failure(self.device, error) from error

    def run(self, windows: Sequence[Window]) -> list[WindowResult | JobError]:
        """Recognise each window: the answer at position i belongs to window i."""
        return [self._answer(window) for window in windows]

    def _answer(self, window: Window) -> WindowResult | JobError:
        try:
            return self._recognise(window)
        except JobError as error:
            return error
        except (RuntimeError, MemoryError) as error:
            return _transient(error)

    def _recognise(self, window: Window) -> WindowResult:
        if window.language is not None:
            self._check_language(window.language)
        if window.frames < _FRAMES_PER_POSITION:
            return _silence(window)
        encoded = self._model.encode(pad_or_trim(window.features))
        language, probability = self._language(window, encoded)
        tokenizer = self._tokenizer(language, window.request.task)
        prompt = self._model.get_prompt(tokenizer, _previous_tokens(window, tokenizer))
        options = self._transcription_options(window.seconds, len(prompt))
        generated, avg_logprob, temperature, compression_ratio = self._model.generate_with_fallback(
            encoded, prompt, tokenizer, options
        )
        segments: tuple[WindowSegment, ...] = ()
        consumed = window.frames
        if not self._is_silent(generated.no_speech_prob, avg_logprob):
            segments, consumed = self._split(window, encoded, tokenizer, generated.sequences_ids[0])
        return WindowResult(
            segments=segments,
            consumed_frames=consumed,
            language=language,
            language_probability=probability,
            temperature=temperature,
            avg_logprob=avg_logprob,
            no_speech_prob=generated.no_speech_prob,
            compression_ratio=compression_ratio,
        )

    def _check_language(self, language: str) -> None:
        if language in self._languages:
            return
        known = "only English" if self._languages == {"en"} else f"{len(self._languages)} languages"
        raise InputError(
            Code.UNKNOWN_LANGUAGE,
            f"this model does not know {language!r}, it knows {known}; leave `language` out, or "
            "send the job to a fleet with another model",
        )

    def _language(self, window: Window, encoded: ctranslate2.StorageView) -> tuple[str, float]:
        if window.language is not None:
            return window.language, 1.0
        if not self._model.model.is_multilingual:
            return "en", 1.0
        token, probability = self._model.model.detect_language(encoded)[0][0]
        return token[2:-2], probability  # <|en|> without its marks

    def _tokenizer(self, language: str, task: Task) -> Tokenizer:
        key = language, task
        if key not in self._tokenizers:
            self._tokenizers[key] = Tokenizer(
                self._model.hf_tokenizer,
                self._model.model.is_multilingual,
                task=task.value,
                language=language,
            )
        return self._tokenizers[key]

    def _is_silent(self, no_speech_prob: float, avg_logprob: float) -> bool:
        return (
            no_speech_prob > self._options.no_speech_threshold
            and avg_logprob <= self._options.log_prob_threshold
        )

    def _transcription_options(self, seconds: float, prompt_length: int) -> TranscriptionOptions:
        options = self._options
        limit = options.max_new_tokens(seconds)
        return TranscriptionOptions(
            beam_size=options.beam_size,
            best_of=options.best_of,
            patience=options.patience,
            length_penalty=options.length_penalty,
            repetition_penalty=options.repetition_penalty,
            no_repeat_ngram_size=options.no_repeat_ngram_size,
            log_prob_threshold=options.log_prob_threshold,
            no_speech_threshold=options.no_speech_threshold,
            compression_ratio_threshold=options.compression_ratio_threshold,
            temperatures=list(options.temperatures),
            suppress_blank=options.suppress_blank,
            suppress_tokens=self._suppressed,
            max_initial_timestamp=options.max_initial_timestamp,
            max_new_tokens=_length_argument(limit, prompt_length, self._model.max_length),
            # What follows belongs to the library's loop over a file and is not read for one window.
            condition_on_previous_text=False,
            prompt_reset_on_temperature=0.0,
            initial_prompt=None,
            prefix=None,
            without_timestamps=False,
            word_timestamps=False,
            prepend_punctuations="",
            append_punctuations="",
            multilingual=False,
            clip_timestamps="0",
            hallucination_silence_threshold=None,
            hotwords=None,
        )

    def _split(
        self,
        window: Window,
        encoded: ctranslate2.StorageView,
        tokenizer: Tokenizer,
        tokens: list[int],
    ) -> tuple[tuple[WindowSegment, ...], int]:
        """Return the segments of the generated tokens, and how many frames they consumed."""
        pieces, consumed, ends_in_silence = self._model._split_segments_by_timestamps(  # noqa: SLF001
            tokenizer=tokenizer,
            tokens=tokens,
            time_offset=0.0,
            segment_size=window.frames,
            segment_duration=window.seconds,
            seek=0,
        )
        if window.request.word_timestamps:
            self._model.add_word_timestamps(
                [pieces],
                tokenizer,
                encoded,
                window.frames,
                self._options.prepend_punctuations,
                self._options.append_punctuations,
                last_speech_timestamp=window.last_speech_end,
            )
            last_word_end = get_end(pieces)
            if not ends_in_silence and last_word_end is not None and last_word_end > 0:
                consumed = round(last_word_end * FRAMES_PER_SECOND)
        segments = (_segment(piece, tokenizer) for piece in pieces)
        kept = (one for one in segments if one.start != one.end and one.text.strip())
        return tuple(kept), consumed


def _segment(piece: dict[str, Any], tokenizer: Tokenizer) -> WindowSegment:
    words = piece.get("words")
    return WindowSegment(
        start=float(piece["start"]),
        end=float(piece["end"]),
        text=tokenizer.decode(piece["tokens"]),
        tokens=tuple(piece["tokens"]),
        words=None if words is None else tuple(_word(word) for word in words),
    )


def _word(word: dict[str, Any]) -> WindowWord:
    return WindowWord(
        start=float(word["start"]),
        end=float(word["end"]),
        text=word["word"],
        probability=float(word["probability"]),
    )


def _previous_tokens(window: Window, tokenizer: Tokenizer) -> list[int]:
    prompt = window.request.prompt
    initial = tokenizer.encode(" " + prompt.strip()) if prompt and prompt.strip() else []
    return [*initial, *window.previous_tokens]


def _length_argument(limit: int, prompt_length: int, model_length: int) -> int:
    """Return the library's `max_new_tokens` that lets a window have `limit` tokens.

    The library hands CTranslate2 a `max_length` of the prompt's length + `max_new_tokens`, and
    CTranslate2 allows min(max_length / 2, max_length - (prompt - 1)) new tokens. A model has
    `model_length` positions in all (448), so half of them is the most that a limit can be.
    """
    wanted = max(limit - 1, 2 * limit - prompt_length)
    return min(wanted, model_length - prompt_length)


def _silence(window: Window) -> WindowResult:
    return WindowResult(
        segments=(),
        consumed_frames=window.frames,
        language=window.language or "en",
        language_probability=1.0 if window.language else 0.0,
        temperature=0.0,
        avg_logprob=0.0,
        no_speech_prob=1.0,
        compression_ratio=0.0,
    )


def _transient(error: RuntimeError | MemoryError) -> TransientError:
    text = str(error)
    if isinstance(error, MemoryError) or any(words in text for words in _OUT_OF_MEMORY):
        answer = TransientError(
            Code.OUT_OF_MEMORY,
            "the device ran out of memory on a window; take a smaller model or compute type, or "
            "give the worker a device of its own",
        )
    else:
        answer = TransientError(
            Code.ENGINE_FAILED,
            f"the engine failed on a window: {text}; another worker may succeed",
        )
    answer.__cause__ = error
    return answer

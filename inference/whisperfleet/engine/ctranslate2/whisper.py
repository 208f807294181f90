"""Whisper on CTranslate2: faster-whisper's own steps for a window, taken by many at once."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens

from whisperfleet.contract.job import Task
from whisperfleet.contract.result import ModelInfo
from whisperfleet.engine.ctranslate2.answers import Heard, answer_of, silence
from whisperfleet.engine.ctranslate2.batches import BatchSize, in_batches, one_by_one
from whisperfleet.engine.ctranslate2.capacity import choose_batch_size, gpu_memory
from whisperfleet.engine.ctranslate2.decoding import Decoded, Decoder, Draft, Passage
from whisperfleet.engine.ctranslate2.features import MelWindow, compute_features
from whisperfleet.engine.ctranslate2.forward import Encoded, Forward, from_model, to_model
from whisperfleet.engine.ctranslate2.loading import Device, choose_device, load_model, start_failure
from whisperfleet.engine.ctranslate2.models import ResolvedModel, info_of
from whisperfleet.engine.ctranslate2.parallel_calls import ParallelCalls, share_processors
from whisperfleet.engine.ctranslate2.stages import Stages, may_be_the_devices_fault
from whisperfleet.engine.ctranslate2.tokens import to_tokens
from whisperfleet.engine.ctranslate2.words import WordKeepingModel
from whisperfleet.engine.interface import (
    FRAMES_PER_WINDOW,
    Answer,
    Capabilities,
    DeviceMemory,
    Unsettled,
    Window,
    WindowRequest,
    WindowResult,
)
from whisperfleet.engine.options import DecodingOptions
from whisperfleet.errors import EngineLostError, JobError

__all__ = ["WhisperEngine"]

# The encoder halves the frames: a single one is no position, and nothing can be aligned to it.
_FRAMES_PER_POSITION = 2

_UNNAMED = ModelInfo(name="", digest="")

# The encoder gains nothing from larger batches, and its activations are what fills the memory.
_ENCODED_AT_ONCE = {"cpu": 1, "cuda": 4}


@dataclass(frozen=True, slots=True, eq=False)
class _Begun:
    """A window before its next decoding pass."""

    window: MelWindow
    heard: Heard
    draft: Draft


class WhisperEngine:
    """One model on one device, ready to run. Use it from one thread.

    `batch_size` windows are decoded together at most; fewer once the device has run out of memory.
    """

    def __init__(
        self,
        model: WordKeepingModel,
        options: DecodingOptions,
        batch_size: int = 1,
        calls: ParallelCalls | None = None,
        info: ModelInfo = _UNNAMED,
    ) -> None:
        self.model = info
        self._calls = calls or ParallelCalls()
        self._model = model
        self._options = options
        self._tokenizers: dict[tuple[str, Task], Tokenizer] = {}
        self._languages = frozenset(
            language
            for language in model.supported_languages
            if not self._forward.is_multilingual
            or model.hf_tokenizer.token_to_id(f"<|{language}|>") is not None
        )
        # The ids to suppress are the same for every language and task.
        suppressed = get_suppressed_tokens(self._tokenizer("en", Task.TRANSCRIBE), [-1])
        self._encoding = BatchSize("the encoder", min(batch_size, _ENCODED_AT_ONCE[self.device]))
        self._detecting = BatchSize("the detection of languages", batch_size)
        self._decoder = Decoder(
            self._forward, options, suppressed, model.max_length, batch_size, self._calls
        )

    @classmethod
    def load(
        cls,
        model: ResolvedModel,
        device: Device = "auto",
        compute_type: str = "default",
        cpu_threads: int = 0,
        options: DecodingOptions | None = None,
        batch_size: int = 0,
    ) -> "WhisperEngine":
        """Load a model onto a device.

        `auto` takes the first GPU, or the CPU where there is none; `cuda` never falls back.
        `compute_type` is one of CTranslate2's; `default` keeps the model's own where the device
        can. `cpu_threads` 0 takes up to four of the processors, `batch_size` 0 what the device's
        memory holds. Raises DeviceUnavailableError or ModelUnavailableError.
        """
        chosen = choose_device(device)
        calls, threads = share_processors(cpu_threads) if chosen == "cpu" else (1, 0)
        loaded = load_model(model, chosen, compute_type, threads, calls)
        size = batch_size or choose_batch_size(chosen)
        return cls(loaded, options or DecodingOptions(), size, ParallelCalls(calls), info_of(model))

    @property
    def _forward(self) -> Forward:
        forward: Forward = self._model.model
        return forward

    @property
    def capabilities(self) -> Capabilities:
        """What the model can do. English is written as it is said, whatever the task."""
        return Capabilities(self._languages, words=True, translate=True)

    @property
    def cache_key(self) -> str:
        """The model, its arithmetic and the rules of decoding, always in the same form."""
        key = {
            "model": self.model.digest,
            "compute_type": self.compute_type,
            "decoding": asdict(self._options),
        }
        return json.dumps(key, sort_keys=True)

    @property
    def mels(self) -> int:
        """The number of mel bands that the encoder takes (80 or 128)."""
        return self._forward.n_mels

    @property
    def device(self) -> str:
        """Where the model runs: `cpu` or `cuda`."""
        return self._forward.device

    @property
    def compute_type(self) -> str:
        """The type that the model computes in: what `default` came to on this device."""
        return self._forward.compute_type

    @property
    def batch_size(self) -> int:
        """How many windows are decoded together, as far as is known."""
        return self._decoder.batch_size

    @property
    def retry_size(self) -> int:
        """How many unsettled windows are sampled together, as far as is known."""
        return self._decoder.retry_size

    def warm_up(self) -> None:
        """Run the model, so that the first job does not pay for kernels and buffers.

        On a GPU, whose memory is what bounds a batch, the largest one runs to its last token.
        Raises DeviceUnavailableError where the device loads a model and cannot run it, as with a
        missing cuBLAS or too little memory.
        """
        window = self._quiet_window()
        (answer,) = self._recognise([window])
        if isinstance(answer, JobError):
            raise start_failure(self.device, answer.__cause__ or answer) from answer
        if self.device == "cuda":
            self._rehearse([window] * self.batch_size)

    def _quiet_window(self) -> MelWindow:
        """Return a window that no model and no device can have anything against."""
        silence = np.zeros((self.mels, FRAMES_PER_WINDOW), np.float32)
        return MelWindow(silence, WindowRequest(word_timestamps=True))

    def _rehearse(self, windows: Sequence[MelWindow]) -> None:
        """Take as much memory as any windows can, so that too large a batch is found out now."""
        tokenizer = self._tokenizer("en", Task.TRANSCRIBE)
        # The longest prompt that can be: all positions of the decoder are taken.
        prompt = tuple(self._model.get_prompt(tokenizer, [0] * self._model.max_length))
        limit = self._model.max_length // 2
        encoded = in_batches(self._encode, windows, self._encoding, self._calls)
        passages = [
            Passage(one, prompt, tokenizer, limit)
            for one in encoded
            if not isinstance(one, Exception)
        ]
        for one in (*encoded, *self._decoder.rehearse(passages)):
            if isinstance(one, Exception):
                raise start_failure(self.device, one) from one

    def prepare(self, window: Window) -> MelWindow:
        """Compute the features of a window; some 60 ms for 30 s."""
        features, loudest = compute_features(window, self.mels)
        return MelWindow(
            features,
            window.request,
            window.language,
            to_tokens(window.previous, self._tokenizer("en", Task.TRANSCRIBE)),
            window.last_speech_end,
            window.seams,
            loudest,
        )

    def device_memory(self) -> DeviceMemory | None:
        """Return the GPU's memory; None on a CPU. Raises OSError where it cannot be read."""
        return gpu_memory() if self.device == "cuda" else None

    def close(self) -> None:
        """Let go of the model and its memory."""
        self._forward.unload_model()

    def run(self, windows: Sequence[MelWindow]) -> list[Answer]:
        """Make the first pass over each window: the answer at position i belongs to window i.

        Windows of all languages and tasks are encoded together, and decoded with those whose
        prompt is as long as theirs. Raises EngineLostError once not even silence can be recognised.
        """
        return self._unless_lost(self._recognise(windows))

    def retry(self, unsettled: Sequence[Unsettled]) -> list[Answer]:
        """Make the next pass over windows that this engine left unsettled.

        Answers, and raises, as `run` does.
        """
        return self._unless_lost(self._decode([one.found for one in unsettled]))

    def _unless_lost(self, answers: list[Answer]) -> list[Answer]:
        if any(map(may_be_the_devices_fault, answers)):
            self._probe()
        return answers

    def _probe(self) -> None:
        """Recognise silence.

        An illegal memory access stays with the process: every call that follows fails, whatever is
        asked. Raises EngineLostError then.
        """
        (answer,) = self._recognise([self._quiet_window()])
        if may_be_the_devices_fault(answer):
            raise EngineLostError(
                f"the model no longer runs on {self.device}: {answer.__cause__}; the worker has to "
                "be started again, and where that does not help, look at the driver and the "
                "device's health (nvidia-smi)"
            ) from answer

    def _recognise(self, windows: Sequence[MelWindow]) -> list[Answer]:
        stages = Stages(len(windows))
        for index, window in enumerate(windows):
            if window.frames < _FRAMES_PER_POSITION:
                stages.answers[index] = silence(window)
        encoded = stages.take(
            lambda left: in_batches(
                self._encode, [windows[i] for i in left], self._encoding, self._calls
            )
        )
        heard = stages.take(
            lambda left: self._hear([windows[i] for i in left], [encoded[i] for i in left])
        )
        begun = stages.take(
            partial(one_by_one, lambda i: self._begin(windows[i], encoded[i], heard[i]))
        )
        stages.answers |= zip(begun, self._decode(list(begun.values())), strict=True)
        return stages.in_order()

    def _decode(self, begun: Sequence[_Begun]) -> list[Answer]:
        """Make one decoding pass."""
        stages = Stages(len(begun))
        texts: dict[int, Decoded | Draft] = stages.take(
            lambda left: self._decoder.decode([begun[index].draft for index in left])
        )

        def answer(index: int) -> WindowResult | Unsettled:
            return self._answer(begun[index], texts[index])

        answers: dict[int, WindowResult | Unsettled] = stages.take(
            lambda left: one_by_one(answer, left, self._calls)
        )
        stages.answers |= answers
        return stages.in_order()

    def _encode(self, windows: Sequence[MelWindow]) -> list[Encoded]:
        features = to_model([pad_or_trim(window.features) for window in windows])
        # In the host's memory rows can be put together anew for each step that follows.
        return from_model(self._forward.encode(features, to_cpu=True))

    def _hear(
        self, windows: Sequence[MelWindow], encoded: Sequence[Encoded]
    ) -> list[Heard | Exception]:
        """Return the language of each window, detected where it was not given."""
        if not self._forward.is_multilingual:
            return [Heard("en", 1.0) for _ in windows]
        unknown = [index for index, window in enumerate(windows) if window.language is None]
        languages = in_batches(
            self._detect, [encoded[index] for index in unknown], self._detecting, self._calls
        )
        detected = dict(zip(unknown, languages, strict=True))
        return [
            detected[index] if window.language is None else Heard(window.language, 1.0)
            for index, window in enumerate(windows)
        ]

    def _detect(self, encoded: Sequence[Encoded]) -> list[Heard]:
        ranked = self._forward.detect_language(to_model(encoded))
        # <|en|> without its marks
        return [Heard(token[2:-2], probability) for (token, probability), *_ in ranked]

    def _begin(self, window: MelWindow, encoded: Encoded, heard: Heard) -> _Begun:
        tokenizer = self._tokenizer(heard.language, window.request.task)
        prompt = self._model.get_prompt(tokenizer, _previous_tokens(window, tokenizer))
        limit = self._options.max_new_tokens(window.seconds)
        return _Begun(window, heard, Draft(Passage(encoded, tuple(prompt), tokenizer, limit)))

    def _tokenizer(self, language: str, task: Task) -> Tokenizer:
        key = language, task
        if key not in self._tokenizers:
            self._tokenizers[key] = Tokenizer(
                self._model.hf_tokenizer,
                self._forward.is_multilingual,
                task=task.value,
                language=language,
            )
        return self._tokenizers[key]

    def _answer(self, begun: _Begun, text: Decoded | Draft) -> WindowResult | Unsettled:
        if isinstance(text, Decoded):
            passage = begun.draft.passage
            return answer_of(self._model, self._options, begun.window, begun.heard, passage, text)
        # A row is a view of its batch: on its own it keeps no neighbour's in memory.
        passage = replace(text.passage, encoded=text.passage.encoded.copy())
        draft = replace(text, passage=passage)
        return Unsettled(self._decoder.temperature(draft), replace(begun, draft=draft))


def _previous_tokens(window: MelWindow, tokenizer: Tokenizer) -> list[int]:
    prompt = window.request.prompt
    initial = tokenizer.encode(" " + prompt.strip()) if prompt and prompt.strip() else []
    # What looks like a control token in a caller's text is none: "<|translate|>" is left out.
    return [*(token for token in initial if token < tokenizer.eot), *window.previous_tokens]

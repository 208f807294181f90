"""The tokens of multilingual Whisper in OpenAI's order, for models that are built here.

The ids are the real ones: 256 bytes and text up to 50255, an empty token, the special tokens, a
timestamp each 20 ms. The text tokens beyond the bytes are made-up words: real models bring their
own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import count, islice, product
from string import ascii_lowercase
from typing import Any

__all__ = ["LANGUAGES_IN_ORDER", "Vocabulary"]

# OpenAI Whisper, whisper/tokenizer.py, LANGUAGES: the order gives the ids. `yue` came with
# large-v3.
_LANGUAGES = (
    "en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th "
    "ur hr bg lt la mi ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr "
    "pa si km sn yo so af oc ka be tg sd gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt "
    "haw ln ha ba jw su yue"
)
LANGUAGES_IN_ORDER = tuple(_LANGUAGES.split())

_TEXT_TOKENS = 50_257
_TIMESTAMPS = 1501
_TASKS = ("translate", "transcribe", "startoflm", "startofprev", "nospeech", "notimestamps")


@dataclass(frozen=True)
class Vocabulary:
    """The vocabulary of a model that knows the first `languages` languages."""

    languages: int = 99

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """Every token, at the position of its id."""
        specials = (
            "endoftext",
            "startoftranscript",
            *LANGUAGES_IN_ORDER[: self.languages],
            *_TASKS,
        )
        return (
            *_byte_tokens(),
            *islice(_made_up_words(), _TEXT_TOKENS - 256 - 1),
            # OpenAI's multilingual vocabulary ends with an empty token, and CTranslate2 4.8 takes a
            # model for multilingual if, and only if, it has one.
            "",
            *(f"<|{special}|>" for special in specials),
            *(f"<|{index * 0.02:.2f}|>" for index in range(_TIMESTAMPS)),
        )

    @property
    def end_of_text(self) -> int:
        """The id that ends a text; every lower one is text."""
        return _TEXT_TOKENS

    @property
    def language_ids(self) -> range:
        """The ids of the language tokens."""
        first = _TEXT_TOKENS + 2
        return range(first, first + self.languages)

    @property
    def task_ids(self) -> range:
        """The ids of `translate` up to `nospeech`, which a model must never say."""
        first = self.language_ids.stop
        return range(first, first + len(_TASKS) - 1)

    def to_tokenizer(self) -> dict[str, Any]:
        """Return the content of tokenizer.json."""
        first_timestamp = len(self.tokens) - _TIMESTAMPS
        added = [
            {
                "id": token_id,
                "content": self.tokens[token_id],
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": token_id < first_timestamp,
            }
            for token_id in range(_TEXT_TOKENS, len(self.tokens))
        ]
        byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
        return {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": added,
            "normalizer": None,
            "pre_tokenizer": {**byte_level, "use_regex": True},
            "post_processor": None,
            "decoder": {**byte_level, "use_regex": True},
            "model": {
                "type": "BPE",
                "dropout": None,
                "unk_token": None,
                "continuing_subword_prefix": None,
                "end_of_word_suffix": None,
                "fuse_unk": False,
                "byte_fallback": False,
                # There are no merges: a word is looked up whole, or spelled in bytes.
                "ignore_merges": True,
                "vocab": {token: i for i, token in enumerate(self.tokens[:_TEXT_TOKENS])},
                "merges": [],
            },
        }


def _byte_tokens() -> list[str]:
    """Return GPT-2's printable stand-ins for the 256 bytes, in OpenAI's order of ids."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]


def _made_up_words() -> Iterator[str]:
    """Yield distinct words without end, each with (Ġ) and without a space before it."""
    for length in count(2):
        for letters in product(ascii_lowercase, repeat=length):
            word = "".join(letters)
            yield "Ġ" + word
            yield word

"""The words the demo model knows and the token table it shares with Whisper.

The table keeps Whisper's layout: byte tokens, then words, then the special tokens, then 1,501
timestamps of 20 ms. Only the words are few, so a table has 1,800 entries instead of 51,866.
"""

from typing import Final

WORDS: Final = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
    *("yes", "no", "stop", "go", "left", "right", "up", "down", "hello", "world"),
    *("good", "morning", "red", "green", "blue", "please", "thanks", "play", "music", "open"),
)

LANGUAGES: Final = ("en", "de", "fr", "es", "it")

_SPECIALS: Final = (
    "<|endoftext|>",
    "<|startoftranscript|>",
    *(f"<|{language}|>" for language in LANGUAGES),
    "<|translate|>",
    "<|transcribe|>",
    "<|startoflm|>",
    "<|startofprev|>",
    "<|nospeech|>",
    "<|notimestamps|>",
)

SECONDS_PER_TIMESTAMP: Final = 0.02
TIMESTAMPS: Final = 1501

BYTES: Final = 256
FIRST_WORD: Final = BYTES
END: Final = FIRST_WORD + len(WORDS)
START: Final = END + _SPECIALS.index("<|startoftranscript|>")
FIRST_LANGUAGE: Final = START + 1
PREVIOUS: Final = END + _SPECIALS.index("<|startofprev|>")
NO_SPEECH: Final = END + _SPECIALS.index("<|nospeech|>")
NO_TIMESTAMPS: Final = END + _SPECIALS.index("<|notimestamps|>")
FIRST_TIMESTAMP: Final = END + len(_SPECIALS)
LAST_TIMESTAMP: Final = FIRST_TIMESTAMP + TIMESTAMPS - 1
SIZE: Final = FIRST_TIMESTAMP + TIMESTAMPS

# In GPT-2's alphabet of visible bytes this letter stands for the space before a word.
SPACE: Final = "Ġ"


def token_strings() -> list[str]:
    """Return the text of every token, in the order of the ids."""
    timestamps = (f"<|{i * SECONDS_PER_TIMESTAMP:.2f}|>" for i in range(TIMESTAMPS))
    words = (SPACE + word for word in WORDS)
    return [*_visible_bytes(), *words, *_SPECIALS, *timestamps]


def _visible_bytes() -> list[str]:
    """Return GPT-2's 256 byte tokens: printable bytes as they are, others moved past U+0100.

    The order is that of OpenAI's ``bytes_to_unicode`` (printable bytes first), which every
    Whisper vocabulary starts with.
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1)]
    printable += range(ord("®"), ord("ÿ") + 1)
    hidden = [byte for byte in range(BYTES) if byte not in set(printable)]
    return [chr(byte) for byte in printable] + [chr(BYTES + i) for i in range(len(hidden))]

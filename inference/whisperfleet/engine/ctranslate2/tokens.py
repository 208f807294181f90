"""A text in the pieces that the model writes, by name instead of by number.

They are what the vocabulary calls its tokens, so each is the same token again when it comes back.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from faster_whisper.tokenizer import Tokenizer

__all__ = ["to_pieces", "to_tokens"]

# Whisper's timestamps are multiples of 20 ms (arXiv:2212.04356, 2.3); older vocabularies do not
# name them.
_STEPS_PER_SECOND = 50
_TIMESTAMP = re.compile(r"<\|(\d+\.\d\d)\|>")


def to_pieces(tokens: Iterable[int], tokenizer: Tokenizer) -> tuple[str, ...]:
    """Return the names of tokens; one that has none has no text either."""
    return tuple(name for token in tokens if (name := _name(token, tokenizer)) is not None)


def to_tokens(pieces: Sequence[str], tokenizer: Tokenizer) -> tuple[int, ...]:
    """Return the tokens of these names; what names none is taken for text."""
    return tuple(token for piece in pieces for token in _tokens(piece, tokenizer))


def _name(token: int, tokenizer: Tokenizer) -> str | None:
    step = token - tokenizer.timestamp_begin
    if step >= 0:
        return f"<|{step / _STEPS_PER_SECOND:.2f}|>"
    name: str | None = tokenizer.tokenizer.id_to_token(token)
    return name


def _tokens(piece: str, tokenizer: Tokenizer) -> Iterator[int]:
    if timestamp := _TIMESTAMP.fullmatch(piece):
        yield tokenizer.timestamp_begin + round(float(timestamp[1]) * _STEPS_PER_SECOND)
    elif (token := tokenizer.tokenizer.token_to_id(piece)) is not None:
        yield token
    else:
        yield from (token for token in tokenizer.encode(piece) if token < tokenizer.eot)

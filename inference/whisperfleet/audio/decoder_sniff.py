"""What a file is that is no audio, by its first bytes. Only the standard library is imported."""

import io
import os
import re
from enum import StrEnum

__all__ = ["Content", "is_mangled", "sniff"]

# More than the tags before most audio: these may hold damaged letters although it is whole.
HEAD_BYTES = 64 * 1024
# Words of some length are base64 by their letters; no word is this long.
ENCODED_LETTERS = 40
# The sign that a program writes for each byte that is no text.
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
MANGLED_MARKS = 8


class Content(StrEnum):
    """What was sent in place of audio. The parent puts it into words."""

    BASE64 = "base64"
    DATA_URL = "data_url"
    HEX = "hex"
    MANGLED = "mangled"
    LATIN_1 = "latin_1"
    LITERAL = "literal"
    HTML = "html"
    XML = "xml"
    JSON = "json"
    PLAYLIST = "playlist"
    ADDRESS = "address"
    TEXT = "text"
    BLANK = "blank"
    PDF = "pdf"
    ZIP = "zip"
    GZIP = "gzip"
    IMAGE = "image"
    MIDI = "midi"


_MAGIC = (
    (b"%PDF-", Content.PDF),
    (b"PK\x03\x04", Content.ZIP),
    (b"PK\x05\x06", Content.ZIP),
    (b"\x1f\x8b", Content.GZIP),
    (b"\x89PNG\r\n\x1a\n", Content.IMAGE),
    (b"\xff\xd8\xff", Content.IMAGE),
    (b"GIF87a", Content.IMAGE),
    (b"GIF89a", Content.IMAGE),
    (b"II*\0", Content.IMAGE),
    (b"MM\0*", Content.IMAGE),
    (b"MThd", Content.MIDI),
)
_IMAGE_BRANDS = (b"heic", b"heix", b"mif1", b"avif")

# Of the text, without the space around it, in this order.
_TEXTS = (
    (re.compile(r"data:[\w.+-]*(/[\w.+-]+)?[;,]", re.IGNORECASE), Content.DATA_URL),
    (re.compile(r"b?(['\"])(RIFF|ID3|OggS|fLaC|(\\x[0-9a-f]{2}))"), Content.LITERAL),
    (re.compile(r"<(!doctype html|html|head|body)\b", re.IGNORECASE), Content.HTML),
    (re.compile(r"<[?!A-Za-z]"), Content.XML),
    (re.compile(r"#EXTM3U|\[playlist\]|ffconcat version", re.IGNORECASE), Content.PLAYLIST),
    (re.compile(r"\S+://\S+$"), Content.ADDRESS),
    (re.compile(r"(0x|\\x)?([0-9a-fA-F]{2}(0x|\\x|[\s:,])*){16,}[0-9a-fA-F]?$"), Content.HEX),
    (re.compile(r"\{\s*[\"}]|\[\s*[\[{\"\d\]-]"), Content.JSON),
)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")


def sniff(file: io.FileIO) -> Content | None:
    """Return what a file is in place of audio, None where its first bytes do not tell."""
    return kind_of(os.pread(file.fileno(), HEAD_BYTES, 0))


def is_mangled(file: io.FileIO) -> bool:
    """Whether bytes were taken for text on the way: some such files still pass for audio."""
    text = as_text(os.pread(file.fileno(), HEAD_BYTES, 0))
    return text is not None and text.count(REPLACEMENT) >= MANGLED_MARKS


def kind_of(head: bytes) -> Content | None:
    """Return what the first bytes of a file say that it is."""
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return kind
    if head[4:8] == b"ftyp" and head[8:12] in _IMAGE_BRANDS:
        return Content.IMAGE
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return Content.IMAGE
    text = as_text(head)
    return None if text is None else kind_of_text(text)


def as_text(head: bytes) -> str | None:
    """Return the beginning of a text file, None where it is none."""
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return head.decode(encoding)
    except UnicodeDecodeError as error:
        # The last letter may be cut in two.
        whole = len(head) == HEAD_BYTES and error.start >= len(head) - 4
        return head[: error.start].decode(encoding) if whole else None


def kind_of_text(text: str) -> Content | None:
    """Return what kind of text it is, None for what is none."""
    if text.count(REPLACEMENT) >= MANGLED_MARKS:
        return Content.MANGLED
    if any(character < " " and character not in "\t\n\r\f\v\x1b" for character in text):
        high = sum("\x80" <= character <= "\xff" for character in text)
        only_bytes = all(character <= "\xff" for character in text)
        return Content.LATIN_1 if only_bytes and high >= MANGLED_MARKS else None
    stripped = text.strip()
    if not stripped:
        return Content.BLANK
    for pattern, kind in _TEXTS:
        if pattern.match(stripped):
            return kind
    letters = "".join(stripped.strip("\"'").split())
    if len(letters) >= ENCODED_LETTERS and _BASE64.fullmatch(letters):
        lines = [len(line) for line in stripped.split()]
        # Wrapped lines are of one length; words are not.
        if len(set(lines[:-1])) <= 1:
            return Content.BASE64
    return Content.TEXT

"""Words as they are compared: what a writer may choose is written one way on both sides."""

import re
from collections.abc import Iterator
from typing import Final

__all__ = ["words_of"]

_ONES: Final = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
_TENS: Final = "zero ten twenty thirty forty fifty sixty seventy eighty ninety".split()
_SCALES: Final = ((10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred"))
_ORDINALS: Final = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
_NUMBER_WORDS: Final = frozenset([*_ONES, *_TENS, *(name for _, name in _SCALES)])
# Larger numbers are codes, and are read digit by digit.
_LARGEST: Final = 10**12
_YEARS: Final = range(1100, 2000)

_SYMBOLS: Final = {"%": " percent ", "&": " and ", "+": " plus ", "=": " equals "}
_CURRENCIES: Final = {"$": "dollars", "€": "euros", "£": "pounds"}
_SAME: Final = {
    "mr": "mister",
    "mrs": "missus",
    "dr": "doctor",
    "st": "saint",
    "ok": "okay",
    "'til": "till",
    "cannot": "can not",
    "can't": "can not",
    "won't": "will not",
    "shan't": "shall not",
    "grey": "gray",
    "colour": "color",
    "colours": "colors",
    "neighbour": "neighbor",
    "neighbours": "neighbors",
    "neighbourhood": "neighborhood",
    "harbour": "harbor",
    "odour": "odor",
    "favour": "favor",
    "favourite": "favorite",
    "honour": "honor",
    "labour": "labor",
    "traveller": "traveler",
    "travelling": "traveling",
    "theorise": "theorize",
    "apologised": "apologized",
    "sombre": "somber",
    "centre": "center",
    "theatre": "theater",
    "programme": "program",
}
_ENDINGS: Final = (("n't", "not"), ("'re", "are"), ("'ll", "will"), ("'ve", "have"), ("'m", "am"))
# Written without spaces: each character stands for itself.
_UNSPACED: Final = re.compile("([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff])")
_AMOUNT: Final = re.compile(rf"([{''.join(_CURRENCIES)}])(\d[\d,]*(?:\.\d+)?)")
_GROUPED: Final = re.compile(r"\d{1,3}(?:,\d{3})+(\.\d+)?(?!\d)")
_NUMBER: Final = re.compile(r"(\d+)(?:\.(\d+))?(st|nd|rd|th)?")
_TOKEN: Final = re.compile(rf"{_NUMBER.pattern}(?![^\W\d])|[^\W_]+(?:'[^\W_]+)*'?|'[^\W_]+")


def words_of(text: str) -> list[str]:
    """Return the words of a text without case, punctuation and hyphens, and numbers in words."""
    text = text.casefold().replace("\u2019", "'").replace("\u2018", "'")
    text = _AMOUNT.sub(lambda found: f"{found[2]} {_CURRENCIES[found[1]]}", text)
    text = _GROUPED.sub(_ungrouped, text)
    for symbol, word in _SYMBOLS.items():
        text = text.replace(symbol, word)
    text = _UNSPACED.sub(r" \1 ", text)
    return _without_and([word for token in _TOKEN.finditer(text) for word in _spelled(token[0])])


def _spelled(token: str) -> Iterator[str]:
    if number := _NUMBER.fullmatch(token):
        yield from _number(number[1], number[2] or "", is_ordinal=bool(number[3]))
        return
    token = token if token in _SAME else token.strip("'")
    if token in _SAME:
        yield from _SAME[token].split()
        return
    for ending, word in _ENDINGS:
        if token.endswith(ending) and token != ending:
            yield token.removesuffix(ending)
            yield word
            return
    if token:
        yield token


def _ungrouped(found: re.Match[str]) -> str:
    plain = found[0].replace(",", "")
    # Spelled at once where it could be a year, which has no comma.
    return plain if found[1] else " ".join(_cardinal(int(plain)))


def _number(whole: str, fraction: str, *, is_ordinal: bool) -> list[str]:
    if fraction:
        return [*_cardinal(int(whole)), "point", *(_ONES[int(digit)] for digit in fraction)]
    if whole.startswith("0") or int(whole) >= _LARGEST:
        return [_ONES[int(digit)] for digit in whole]
    words = _year(int(whole)) if int(whole) in _YEARS else _cardinal(int(whole))
    return [*words[:-1], _ordinal(words[-1])] if is_ordinal else words


def _cardinal(number: int) -> list[str]:
    if number < 20:
        return [_ONES[number]]
    if number < 100:
        tens, ones = divmod(number, 10)
        return [_TENS[tens], *(_cardinal(ones) if ones else [])]
    size, name = next(scale for scale in _SCALES if number >= scale[0])
    head, rest = divmod(number, size)
    return [*_cardinal(head), name, *(_cardinal(rest) if rest else [])]


def _year(number: int) -> list[str]:
    """Return a number of four digits as years are read: nineteen sixty, nineteen oh five."""
    century, rest = divmod(number, 100)
    if rest == 0:
        return [*_cardinal(century), "hundred"]
    return [*_cardinal(century), *(["oh"] if rest < 10 else []), *_cardinal(rest)]


def _ordinal(word: str) -> str:
    if word in _ORDINALS:
        return _ORDINALS[word]
    return word.removesuffix("y") + "ieth" if word.endswith("y") else word + "th"


def _without_and(words: list[str]) -> list[str]:
    """Return the words with numbers said one way: `a hundred and five` is `one hundred five`."""
    kept: list[str] = []
    for number, word in enumerate(words):
        following = words[number + 1] if number + 1 < len(words) else ""
        if word == "a" and following in {"hundred", "thousand", "million", "billion"}:
            kept.append("one")
        elif word != "and" or not (
            kept and kept[-1] in {"hundred", "thousand"} and following in _NUMBER_WORDS
        ):
            kept.append(word)
    return kept

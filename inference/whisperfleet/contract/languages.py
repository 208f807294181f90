"""The languages of multilingual Whisper models, and what else people call them."""

import re
from typing import Final

__all__ = ["LANGUAGES", "UNSPACED", "language_code"]

# OpenAI Whisper, whisper/tokenizer.py: 99 codes up to large-v2, and yue since large-v3, each with
# its English name; between them the code of ISO 639-3. A model says for itself which of them it
# knows; this list only tells a language from a typing error.
_LANGUAGES: Final = """\
af afr afrikaans, am amh amharic, ar ara arabic, as asm assamese, az aze azerbaijani,
ba bak bashkir, be bel belarusian, bg bul bulgarian, bn ben bengali, bo bod tibetan, br bre breton,
bs bos bosnian, ca cat catalan, cs ces czech, cy cym welsh, da dan danish, de deu german,
el ell greek, en eng english, es spa spanish, et est estonian, eu eus basque, fa fas persian,
fi fin finnish, fo fao faroese, fr fra french, gl glg galician, gu guj gujarati, ha hau hausa,
haw haw hawaiian, he heb hebrew, hi hin hindi, hr hrv croatian, ht hat haitian creole,
hu hun hungarian, hy hye armenian, id ind indonesian, is isl icelandic, it ita italian,
ja jpn japanese, jw jav javanese, ka kat georgian, kk kaz kazakh, km khm khmer, kn kan kannada,
ko kor korean, la lat latin, lb ltz luxembourgish, ln lin lingala, lo lao lao, lt lit lithuanian,
lv lav latvian, mg mlg malagasy, mi mri maori, mk mkd macedonian, ml mal malayalam,
mn mon mongolian, mr mar marathi, ms msa malay, mt mlt maltese, my mya myanmar, ne nep nepali,
nl nld dutch, nn nno nynorsk, no nor norwegian, oc oci occitan, pa pan punjabi, pl pol polish,
ps pus pashto, pt por portuguese, ro ron romanian, ru rus russian, sa san sanskrit, sd snd sindhi,
si sin sinhala, sk slk slovak, sl slv slovenian, sn sna shona, so som somali, sq sqi albanian,
sr srp serbian, su sun sundanese, sv swe swedish, sw swa swahili, ta tam tamil, te tel telugu,
tg tgk tajik, th tha thai, tk tuk turkmen, tl tgl tagalog, tr tur turkish, tt tat tatar,
uk ukr ukrainian, ur urd urdu, uz uzb uzbek, vi vie vietnamese, yi yid yiddish, yo yor yoruba,
zh zho chinese, yue yue cantonese"""

# Names that OpenAI's TO_LANGUAGE_CODE has beside these, and a few more; codes of BCP 47 that others
# took the place of, of languages that Whisper hears as another, and of ISO 639-2/B.
_ALIASES: Final = """\
burmese my, valencian ca, flemish nl, haitian ht, letzeburgesch lb, pushto ps, panjabi pa,
moldavian ro, moldovan ro, sinhalese si, castilian es, mandarin zh, farsi fa, filipino tl,
bokmål no, norwegian bokmål no, norwegian nynorsk nn, mandarin chinese zh, dari fa, iw he, ji yi,
in id, jv jw, mo ro, sh sr, nb no, nob no, fil tl, cmn zh, prs fa, arb ar, zsm ms, ekk et, lvs lv,
swh sw, ydd yi, pes fa, khk mn, plt mg, npi ne, uzn uz, azj az, als sq, alb sq, arm hy, baq eu,
bur my, chi zh, cze cs, dut nl, fre fr, geo ka, ger de, gre el, ice is, mac mk, mao mi, may ms,
per fa, rum ro, slo sk, tib bo, wel cy"""

_ENTRIES: Final = [entry.split(maxsplit=2) for entry in _LANGUAGES.replace("\n", " ").split(", ")]

LANGUAGES: Final = frozenset(code for code, _, _ in _ENTRIES)

# Those that are written without spaces, as faster-whisper's `split_to_word_tokens` has them.
UNSPACED: Final = frozenset({"zh", "ja", "th", "lo", "my", "yue"})

_CODE_OF: Final = {known: entry[0] for entry in _ENTRIES for known in entry} | {
    name: code
    for name, _, code in (
        alias.rpartition(" ") for alias in _ALIASES.replace("\n", " ").split(", ")
    )
}

# RFC 5646: a language, then subtags of a script, a region, a variant; also with the underscore and
# the character set that a POSIX locale has.
_TAG: Final = re.compile(
    r"([a-z]{2,3})(?:[-_]([a-z]{3})\b)?(?:[-_][a-z0-9]{1,8})*(?:\.[a-z0-9-]+)?"
)


def language_code(text: str) -> str | None:
    """Return Whisper's code of a language that is named by a code, a BCP 47 tag or in English.

    ``en``, ``EN``, ``eng``, ``en-US``, ``pt_BR`` and ``English`` are all understood. None where
    Whisper has no such language.
    """
    name = " ".join(text.casefold().split())
    if name in _CODE_OF:
        return _CODE_OF[name]
    if not (tag := _TAG.fullmatch(name)):
        return None
    language, extension = tag.groups()
    # An extended language (`zh-yue`) says more than the family before it.
    return _CODE_OF.get(extension or "") or _CODE_OF.get(language)

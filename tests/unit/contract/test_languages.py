"""What people call a language becomes the code that Whisper has for it."""

import pytest
from faster_whisper.tokenizer import _LANGUAGE_CODES

from whisperfleet.contract.codes import Code
from whisperfleet.contract.job import Job
from whisperfleet.contract.languages import LANGUAGES, UNSPACED, language_code
from whisperfleet.errors import InputError

URL = b"https://media.example.org/a.wav"

NAMES = {
    "a code": ("en", "en"),
    "in capitals": ("EN", "en"),
    "of three letters": ("deu", "de"),
    "of three letters by libraries": ("ger", "de"),
    "a region": ("en-US", "en"),
    "a region of three digits": ("es-419", "es"),
    "a script and a region": ("zh-Hans-CN", "zh"),
    "an extended language": ("zh-yue-HK", "yue"),
    "a variant": ("de-CH-1996", "de"),
    "private use": ("en-x-call7", "en"),
    "a locale": ("pt_BR", "pt"),
    "a locale with a character set": ("pt_BR.UTF-8", "pt"),
    "a name": ("English", "en"),
    "a name in capitals": ("GERMAN", "de"),
    "a name of two words": ("Haitian Creole", "ht"),
    "another name": ("Castilian", "es"),
    "an old code of Hebrew": ("iw", "he"),
    "an old code of Yiddish": ("ji", "yi"),
    "an old code of Indonesian": ("in-ID", "id"),
    "Javanese, which Whisper spells by itself": ("jv", "jw"),
    "Bokmål": ("nb", "no"),
    "Filipino": ("fil", "tl"),
    "blanks around it": (" en\n", "en"),
}


def language_of(said: str) -> str | None:
    return Job.from_fields({b"url": URL, b"language": said.encode()}).language


@pytest.mark.parametrize(("said", "code"), NAMES.values(), ids=NAMES)
def test_a_language_is_understood(said: str, code: str) -> None:
    assert language_of(said) == code
    assert Job(url=URL.decode(), language=said).language == code


@pytest.mark.parametrize("said", ["auto", "AUTO", "und", "", "  "])
def test_a_language_that_is_to_be_found_out_is_none(said: str) -> None:
    assert language_of(said) is None


@pytest.mark.parametrize(
    "said", ["xx", "klingon", "ga-IE", "e", "en-", "en us", "123", "-", "english!", "no language"]
)
def test_what_is_no_language_of_whisper_is_refused(said: str) -> None:
    with pytest.raises(
        InputError, match="is no language that Whisper knows; send a code"
    ) as caught:
        language_of(said)
    assert caught.value.code is Code.UNKNOWN_LANGUAGE


def test_every_language_of_whisper_is_known_by_its_code() -> None:
    assert set(_LANGUAGE_CODES) == LANGUAGES
    assert {language_code(code) for code in LANGUAGES} == LANGUAGES
    assert UNSPACED < LANGUAGES

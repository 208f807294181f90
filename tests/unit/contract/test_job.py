"""What a job message may hold, and the sentence for what it may not."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from whisperfleet.contract.codes import Code
from whisperfleet.contract.job import Channel, Format, Job, read_metadata
from whisperfleet.contract.metadata import MAX_METADATA_DEPTH
from whisperfleet.contract.result import Result
from whisperfleet.contract.states import State
from whisperfleet.errors import InputError, MalformedEntryError

URL = "https://media.example.org/a.wav"


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


BAD_METADATA = {
    "half an emoji": (rb'{"t":"\ud83d"}', "lone surrogate"),
    "half an emoji in a name": (rb'{"\ud83d":1}', "lone surrogate"),
    "too deep": (nested(MAX_METADATA_DEPTH + 1).encode(), "32 levels"),
    "deeper than a result can be": (nested(300).encode(), "32 levels"),
    "deeper than can be read": (nested(100_000).encode(), "32 levels"),
    "too deep by lists": (b'{"a":' + b"[" * 40 + b"]" * 40 + b"}", "32 levels"),
    "too long": (json.dumps({"a": "x" * 4096}).encode(), "4096 bytes"),
    "no number": (b'{"a":NaN}', "NaN is no number that JSON can carry"),
    "a number without end": (b'{"a":1e400}', "1e400 is no number that JSON can carry"),
    "a number without end below": (b'{"a":-1e400}', "-1e400 is no number that JSON can carry"),
    "a number without end in a list": (b'{"a":[{"b":1E+999}]}', "is no number that JSON can"),
    "no JSON": (b"{", "metadata"),
    "no object": (b"[1]", "metadata"),
}


@pytest.mark.parametrize(("value", "told"), BAD_METADATA.values(), ids=BAD_METADATA)
def test_metadata_that_no_result_can_carry_is_bad_input(value: bytes, told: str) -> None:
    fields = {b"url": URL.encode(), b"metadata": value}

    with pytest.raises(InputError, match=told) as refused:
        Job.from_fields(fields)

    assert refused.value.code is Code.INVALID_JOB
    assert read_metadata(fields) == {}


def test_metadata_of_other_bytes_is_not_read() -> None:
    assert read_metadata({b"metadata": b'{"a":"\xed\xa0\xbd"}'}) == {}


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"caller": "Zoë 🎧", "n": [1, 2.5, None, True]},
        {"n": 10**300, "f": 1e308},
        json.loads(nested(MAX_METADATA_DEPTH)),
    ],
    ids=["none", "plain", "large number", "as deep as may be"],
)
def test_metadata_comes_back_as_it_was(metadata: dict[str, Any]) -> None:
    fields = {
        name.encode(): value if isinstance(value, bytes) else value.encode()
        for name, value in Job(url=URL, metadata=metadata).to_fields().items()
    }

    job = Job.from_fields(fields)
    document = Result(id="a", state=State.DONE, metadata=job.metadata).model_dump_json()

    assert job.metadata == read_metadata(fields) == metadata
    assert Result.model_validate_json(document).metadata == metadata


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"url": URL, "metadata": {"t": "\ud83d"}}, "lone surrogate"),
        ({"url": URL, "metadata": {"f": float("inf")}}, "a number that JSON cannot carry"),
        ({"url": URL, "language": "xx"}, "no language that Whisper knows"),
        ({"url": "  "}, "send `url` or `audio`"),
        ({}, "send `url` or `audio`"),
    ],
    ids=["half an emoji", "infinite", "language", "empty", "nothing"],
)
def test_a_producer_in_python_is_told_at_once(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Job(**fields)


def test_an_empty_url_beside_audio_is_absent() -> None:
    job = Job.from_fields({b"url": b"", b"audio": b"RIFF"})
    assert (job.url, job.audio) == (None, b"RIFF")


def test_empty_audio_beside_a_url_is_absent() -> None:
    job = Job.from_fields({b"url": URL.encode(), b"audio": b""})
    assert (job.url, job.audio) == (URL, None)


@pytest.mark.parametrize(
    ("fields", "code", "told"),
    [
        ({b"url": b"\n"}, Code.INVALID_JOB, "`url` is empty; send the address"),
        ({b"audio": b""}, Code.EMPTY, "`audio` has no bytes; send a whole audio file"),
        ({b"url": b"", b"audio": b""}, Code.EMPTY, "`url` and `audio` are both empty; send"),
    ],
    ids=["url", "audio", "both"],
)
def test_a_job_whose_source_is_empty_says_so(
    fields: dict[bytes, bytes], code: Code, told: str
) -> None:
    with pytest.raises(InputError, match=told) as caught:
        Job.from_fields(fields)
    assert caught.value.code is code


def test_an_entry_with_both_sources_is_told_so() -> None:
    with pytest.raises(InputError, match="either `url` or `audio`, not both"):
        Job.from_fields({b"url": URL.encode(), b"audio": b"RIFF"})


def test_every_optional_field_may_be_empty() -> None:
    names = set(Job.model_fields) - {"url", "audio"}
    empty = {name.encode(): b"" for name in names}
    assert Job.from_fields({b"url": URL.encode(), **empty}) == Job(url=URL)


def test_a_line_end_after_a_value_is_taken_off() -> None:
    job = Job.from_fields(
        {
            b"url": f" {URL}\r\n".encode(),
            b"task": b"translate\n",
            b"formats": b"srt, vtt\n",
            b"word_timestamps": b"1\n",
            b"deadline": b"1900000000\n",
            b"channel": b"left\n",
            b"track": b"2\n",
            b"metadata": b'{"a":1}\n',
            b"v": b"1.0\n",
        }
    )
    assert job.url == URL
    assert job.formats == (Format.SRT, Format.VTT)
    assert (job.word_timestamps, job.channel, job.track) == (True, Channel.LEFT, 2)
    assert (job.metadata, job.v) == ({"a": 1}, "1.0")
    assert job.deadline is not None


def test_words_and_audio_are_taken_byte_by_byte() -> None:
    fields = {b"audio": b"\n RIFF \n", b"prompt": b" Ms. Zoe\n"}
    job = Job.from_fields(fields)
    assert (job.audio, job.prompt) == (fields[b"audio"], fields[b"prompt"].decode())


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({b"Audio": b"RIFF\xff"}, "the field 'Audio' is not UTF-8; .* in lower case"),
        ({b"url": URL.encode(), b"prompt": b"Z\xf6e"}, "the field 'prompt' is not UTF-8"),
        ({b"url": URL.encode(), b"\xff": b"a"}, "the name of a field is not UTF-8"),
        ({b"URL": URL.encode()}, "neither `url` nor `audio` but 'URL'; write .* in lower case"),
        ({b"hello": b"world"}, "neither `url` nor `audio`; XADD"),
    ],
    ids=["raw audio in capitals", "latin-1", "a name", "an address in capitals", "none"],
)
def test_an_entry_that_is_no_job_says_which_field(fields: dict[bytes, bytes], told: str) -> None:
    with pytest.raises(MalformedEntryError, match=told):
        Job.from_fields(fields)

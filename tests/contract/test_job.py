"""What a job message may hold, and the sentence for what it may not."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from whisperfleet.contract.codes import Code
from whisperfleet.contract.job import MAX_METADATA_DEPTH, Job, read_metadata
from whisperfleet.contract.result import Result
from whisperfleet.contract.states import State
from whisperfleet.errors import InputError

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
    "no number": (b'{"a":NaN}', "NaN is not JSON"),
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
        {"n": 10**300},
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


def test_a_producer_in_python_is_told_at_once() -> None:
    with pytest.raises(ValidationError, match="lone surrogate"):
        Job(url=URL, metadata={"t": "\ud83d"})

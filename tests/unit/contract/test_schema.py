"""The committed JSON Schemas say what the code says."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whisperfleet.contract import schema
from whisperfleet.contract.codes import Code
from whisperfleet.contract.events import DeadLetter, DoneEvent
from whisperfleet.contract.job import Format, Job, Task
from whisperfleet.contract.result import Failure, Result
from whisperfleet.contract.states import State
from whisperfleet.errors import JobError

COMMITTED = Path(__file__).parents[3] / "docs" / "schema"
SCHEMAS = schema.schemas()


def test_the_committed_files_are_in_step() -> None:
    committed = {path.name: path.read_text("utf-8") for path in COMMITTED.glob("*.json")}
    assert committed == {name: schema.render(document) for name, document in SCHEMAS.items()}, (
        "run `make schema` and commit docs/schema"
    )


def test_the_command_writes_the_same_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def write() -> dict[str, bytes]:
        assert schema.main([str(tmp_path / "new" / "folder")]) == 0
        return {path.name: path.read_bytes() for path in tmp_path.rglob("*.json")}

    first = write()
    assert first == write()
    assert sorted(first) == sorted(SCHEMAS)
    assert capsys.readouterr().out.count("\n") == 2 * len(first)


def test_the_command_wants_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert schema.main([]) == 2
    assert "FOLDER" in capsys.readouterr().err


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_says_what_it_is(name: str) -> None:
    document = SCHEMAS[name]
    assert document["$id"] == name
    assert document["title"]
    assert document["description"]


def problems(fields: dict[str, str], document: dict[str, Any]) -> list[str]:
    """Check an entry against what the schemas of entries use of JSON Schema."""
    found = [f"{name} is missing" for name in document.get("required", []) if name not in fields]
    if (
        "oneOf" in document
        and sum(set(o["required"]) <= set(fields) for o in document["oneOf"]) != 1
    ):
        found.append("not exactly one source")
    for name, value in fields.items():
        rules = document["properties"].get(name, {})
        if not re.search(rules.get("pattern", ""), value):
            found.append(f"{name}: {value!r} is not {rules['pattern']}")
        if not rules.get("minLength", 0) <= len(value) <= rules.get("maxLength", 10**9):
            found.append(f"{name} has {len(value)} characters")
        if value not in rules.get("enum", [value]):
            found.append(f"{name} is {value}")
        if rules.get("contentMediaType") == "application/json" and not isinstance(
            json.loads(value), dict
        ):
            found.append(f"{name} is no object")
    return found


def texts_of(fields: dict[str, str | bytes] | dict[bytes, bytes]) -> dict[str, str]:
    def text(value: str | bytes) -> str:
        return value.decode("latin-1") if isinstance(value, bytes) else value

    return {text(name): text(value) for name, value in fields.items()}


sources = st.one_of(
    st.fixed_dictionaries({"url": st.just("https://example.org/talk.ogg")}),
    st.fixed_dictionaries({"audio": st.binary(min_size=1, max_size=20)}),
)
options = st.fixed_dictionaries(
    {},
    optional={
        "id": st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}\Z"),
        "language": st.sampled_from(["en", "yue"]),
        "task": st.sampled_from(Task),
        "prompt": st.text(min_size=1, max_size=50),
        "word_timestamps": st.booleans(),
        "formats": st.lists(st.sampled_from(Format)).map(tuple),
        "deadline": st.datetimes(
            min_value=datetime(2000, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
            max_value=datetime(2100, 1, 1),  # noqa: DTZ001
            timezones=st.just(UTC),
        ),
        "metadata": st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
        "tenant": st.just("team-a"),
        "part": st.integers(0, 10**6),
    },
)


@given(sources, options)
def test_every_job_that_the_code_writes_fits_the_schema(
    source: dict[str, Any], asked: dict[str, Any]
) -> None:
    job = Job.model_validate(source | asked)
    assert problems(texts_of(job.to_fields()), SCHEMAS["job.v1.json"]) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"url": "https://example.org/a.ogg"},
        {"audio": "\x00\xff"},
        {"url": "u", "formats": "srt, vtt", "word_timestamps": "true", "deadline": "1790000000"},
        {
            "url": "u",
            "deadline": "2026-11-21T06:00:00+01:00",
            "metadata": '{"a": [1]}',
            "more": "x",
        },
    ],
)
def test_what_a_person_types_fits_the_schema_and_the_code(fields: dict[str, str]) -> None:
    assert problems(fields, SCHEMAS["job.v1.json"]) == []
    Job.from_fields({k.encode(): v.encode("latin-1") for k, v in fields.items()})


@pytest.mark.parametrize(
    "fields",
    [
        {"language": "en"},
        {"url": "u", "audio": "a"},
        {"url": "u", "formats": "mp3"},
        {"url": "u", "task": "sing"},
        {"url": "u", "id": "-"},
        {"url": "u", "deadline": "tomorrow"},
        {"url": "u", "word_timestamps": "maybe"},
        {"url": "u", "prompt": "x" * 2001},
    ],
)
def test_what_the_schema_refuses_the_code_refuses(fields: dict[str, str]) -> None:
    assert problems(fields, SCHEMAS["job.v1.json"])
    with pytest.raises(JobError):
        Job.from_fields({k.encode(): v.encode() for k, v in fields.items()})


def test_events_fit_their_schemas() -> None:
    event = DoneEvent(id="a", state=State.FAILED, epoch=2, code=Code.EMPTY, tenant="team-a")
    assert problems(texts_of(event.to_fields()), SCHEMAS["done-event.v1.json"]) == []
    letter = DeadLetter(
        id="a",
        stream="normal",
        entry="1-1",
        code=Code.MALFORMED_ENTRY,
        message="no source",
        deliveries=8,
        fields={b"url": b"u", b"\xff": b"\x00"},
    )
    fields = texts_of(letter.to_fields())
    assert problems(fields, SCHEMAS["dead-letter.v1.json"]) == []
    assert fields["job.url"] == "u"


def test_every_field_of_a_result_has_its_place_in_the_schema() -> None:
    result = Result(
        id="a",
        state=State.FAILED,
        error=Failure(code=Code.EMPTY, message="nothing"),
        finished_at=datetime.now(UTC) + timedelta(seconds=1),
    )
    written = json.loads(result.model_dump_json())
    assert set(written) == set(SCHEMAS["result.v1.json"]["properties"])

"""What a newer minor version writes is read by this one: what it does not know stays text."""

import json
from datetime import UTC, datetime

import pytest

from whisperfleet.contract.codes import Code
from whisperfleet.contract.events import DeadLetter, DoneEvent
from whisperfleet.contract.job import Format
from whisperfleet.contract.result import Failure, Result, read_result
from whisperfleet.contract.states import State

DONE = Result(id="a", state=State.DONE, renderings={Format.TXT: "hello"})


def read(**changes: object) -> Result:
    document = json.loads(DONE.model_dump_json()) | changes
    return read_result("a", json.dumps(document).encode())


def test_what_is_known_is_read_as_it_is() -> None:
    failed = read(
        state="failed",
        error={"code": "empty", "message": "nothing", "cause": "not_found"},
        finished_at="2026-01-02T03:04:05Z",
    )
    assert failed.state is State.FAILED
    assert failed.error == Failure(code=Code.EMPTY, message="nothing", cause=Code.NOT_FOUND)
    assert failed.error.code is Code.EMPTY
    assert failed.finished_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert [name is Format.TXT for name in read().renderings] == [True]


def test_what_is_new_stays_text() -> None:
    newer = read(
        v="1.7",
        state="paused",
        task="summarise",
        error={"code": "of_tomorrow", "message": "wait", "cause": "of_today", "hint": 1},
        renderings={"ttml": "<p>hello</p>"},
        finished_at="+56913294-01-01",
        mood="good",
    )
    assert (newer.state, newer.task, newer.error.code) == ("paused", "summarise", "of_tomorrow")
    assert newer.error.cause == "of_today"
    assert newer.renderings == {"ttml": "<p>hello</p>"}
    assert newer.finished_at == "+56913294-01-01"
    assert Result.model_validate_json(newer.model_dump_json()) == newer


@pytest.mark.parametrize(
    "document", [b"", b"\xff", b"[]", b'{"id": "a"}', b'{"id": "a", "state": 7}']
)
def test_what_cannot_be_read_at_all_is_a_failure_that_says_so(document: bytes) -> None:
    result = read_result("call-7", document)
    assert (result.id, result.error.code) == ("call-7", "unreadable_result")
    assert result.state not in set(State)
    assert "send the job again" in result.error.message


def test_events_and_letters_of_tomorrow() -> None:
    event = DoneEvent.from_fields({b"id": b"a", b"state": b"paused", b"code": b"of_tomorrow"})
    assert (event.state, event.code) == ("paused", "of_tomorrow")
    assert DoneEvent.from_fields({b"id": b"a", b"state": b"done"}).state is State.DONE
    letter = DeadLetter.from_fields(
        {
            b"id": b"a",
            b"stream": b"normal",
            b"entry": b"1-1",
            b"message": b"wait",
            b"code": b"of_tomorrow",
            b"cause": b"of_today",
            b"mood": b"good",
        }
    )
    assert (letter.code, letter.cause) == ("of_tomorrow", "of_today")

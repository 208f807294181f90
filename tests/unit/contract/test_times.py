"""Moments and times that others may choose."""

import re
from datetime import UTC, datetime

import pytest

from whisperfleet.contract.times import MIN_KEPT_SECONDS, check_seconds, entry_time, moment


@pytest.mark.parametrize(
    ("entry", "then"),
    [
        ("1790000000123-5", datetime(2026, 9, 21, 14, 13, 20, 123000, UTC)),
        ("1790000000123456-0", None),  # microseconds: the year 58,692
        ("1790000000123456789-0", None),  # nanoseconds
        ("18446744073709551615-1", None),
        ("1790000000-0", None),  # seconds: 1970
        ("7-1", None),
        ("9" * 400 + "-1", None),
        ("", None),
        ("tomorrow-1", None),
    ],
)
def test_an_entry_tells_its_time_where_its_id_is_one(entry: str, then: datetime | None) -> None:
    assert entry_time(entry) == then


def test_a_moment_is_in_milliseconds() -> None:
    assert moment("1790000000123") == entry_time("1790000000123-0")


@pytest.mark.parametrize("seconds", [1e-9, 1, 86_400.5, 315_360_000])
def test_a_time_that_can_be_waited(seconds: float) -> None:
    check_seconds("lease_seconds", seconds)


@pytest.mark.parametrize("seconds", [0, -1, 1e16, float("inf"), float("-inf"), float("nan")])
def test_a_time_that_cannot_be_waited_is_refused_by_name(seconds: float) -> None:
    with pytest.raises(ValueError, match=re.escape(f"lease_seconds is {seconds}")):
        check_seconds("lease_seconds", seconds)


def test_what_is_kept_is_kept_for_a_millisecond_at_least() -> None:
    check_seconds("result_seconds", MIN_KEPT_SECONDS, MIN_KEPT_SECONDS)
    with pytest.raises(ValueError, match=r"result_seconds is 0.0004; .* from 0.001 to"):
        check_seconds("result_seconds", 0.0004, MIN_KEPT_SECONDS)

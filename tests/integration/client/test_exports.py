"""What programs import from the package itself, and that it costs nobody else anything."""

import subprocess
import sys

import pytest

import whisperfleet
from whisperfleet.client import Admin, AsyncClient, Client
from whisperfleet.contract.job import Job
from whisperfleet.contract.result import Result
from whisperfleet.queue import RedisSettings

EXPORTED = {
    "Admin": Admin,
    "AsyncClient": AsyncClient,
    "Client": Client,
    "Job": Job,
    "RedisSettings": RedisSettings,
    "Result": Result,
}


def test_the_names_that_programs_import() -> None:
    assert {name: getattr(whisperfleet, name) for name in EXPORTED} == EXPORTED
    assert set(whisperfleet.__all__) == {*EXPORTED, "__version__"}
    assert set(whisperfleet.__all__) <= set(dir(whisperfleet))
    assert whisperfleet.__version__


def test_another_name_is_none_of_it() -> None:
    with pytest.raises(AttributeError, match="'whisperfleet' has no attribute 'Clients'"):
        _ = whisperfleet.Clients


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import whisperfleet", {"redis", "pydantic", "asyncio", "importlib.metadata"}),
        ("from whisperfleet import Job, Result", {"redis", "asyncio"}),
        (
            "from whisperfleet import Admin, Client, RedisSettings",
            {"whisperfleet.client.async_client", "av"},
        ),
    ],
)
def test_who_imports_one_pays_for_no_other(statement: str, absent: set[str]) -> None:
    program = (
        f"import sys; before = set(sys.modules); {statement}; print(*set(sys.modules) - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert absent.isdisjoint(done.stdout.split())

"""The lifecycle of the testbed needs the machine to itself: it goes before tests that share it."""

from pathlib import Path

import pytest

_HERE = Path(__file__).parent


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring the tests that take the testbed up and down to the front."""
    items.sort(key=lambda item: item.path != _HERE / "test_lifecycle.py")

"""Unit tests need nothing but the code."""

from collections.abc import Iterator

import pytest

from support.code_alone import code_alone


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Iterator[None]:
    """Watch the fixtures, those of the session among them."""
    with code_alone():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """Watch the test itself."""
    with code_alone():
        return (yield)

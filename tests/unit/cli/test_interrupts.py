"""Whatever ends a program ends it as Ctrl-C does."""

import os
import signal
import sys

import pytest

from whisperfleet.cli.interrupts import interrupted_by_any_end


class Dropping:
    """Runs what Python drops the exceptions of, as it does in a fork."""

    def __init__(self, act):
        self._act = act

    def __del__(self):
        self._act()


@pytest.fixture
def printed(monkeypatch):
    """What Python says of exceptions that it drops."""
    said = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: said.append(args.exc_value))
    return said


def end():
    os.kill(os.getpid(), signal.SIGTERM)


def test_any_end_is_an_interrupt():
    with pytest.raises(KeyboardInterrupt), interrupted_by_any_end():
        end()


def test_an_end_that_python_drops_comes_with_the_next_check_and_is_not_printed(printed):
    with interrupted_by_any_end() as check:
        Dropping(end)
        with pytest.raises(KeyboardInterrupt):
            check()
    assert printed == []


def test_what_else_python_drops_is_printed(printed):
    def fail():
        raise ValueError("another fault")

    with interrupted_by_any_end():
        Dropping(fail)
    assert [str(one) for one in printed] == ["another fault"]


def test_handlers_and_hook_are_as_before(printed):  # noqa: ARG001 - a hook to come back
    before = (sys.unraisablehook, signal.getsignal(signal.SIGTERM))
    with interrupted_by_any_end():
        pass
    assert (sys.unraisablehook, signal.getsignal(signal.SIGTERM)) == before

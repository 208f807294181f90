"""Ready is who has seen each need met, lately."""

import pytest

from support.servers import wait_for
from whisperfleet.worker.needs import Need
from whisperfleet.worker.standing import Standing


def all_well() -> Standing:
    standing = Standing()
    for need in Need:
        standing.note(need)
    return standing


@pytest.mark.parametrize("need", Need)
def test_what_was_never_seen_is_not_ready(need: Need) -> None:
    standing = Standing()
    for other in set(Need) - {need}:
        standing.note(other)
    assert standing.problem(60.0)
    assert not standing.trouble(need), "a try that has not been made is no failure"
    standing.note(need)
    assert standing.problem(60.0) is None


@pytest.mark.parametrize("need", Need)
def test_the_last_try_counts_and_is_told_in_its_own_words(need: Need) -> None:
    standing = all_well()
    standing.note(need, "it cannot be done; do something")
    assert standing.problem(60.0) == "it cannot be done; do something"
    assert standing.trouble(need) == "it cannot be done; do something"
    standing.note(need)
    assert standing.problem(60.0) is None


def test_what_is_done_with_each_beat_must_have_been_seen_lately() -> None:
    standing = all_well()
    wait_for(lambda: standing.problem(0.05), "patience ends")
    for need in (Need.MACHINE, Need.RENEW, Need.PUBLISH):
        standing.note(need)
    assert standing.problem(0.5) is None, "who is full claims nothing, and is ready"

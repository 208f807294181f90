"""Dead servers hold up nobody, and are knocked at ever less often."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise

import pytest

from servers import wait_for
from whisperfleet_operator.queues import Gate, NotNowError


class DeadError(Exception):
    pass


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gate(clock: Clock) -> Gate:
    """A gate that waits for every knock to be answered."""
    return Gate(DeadError, clock=clock, patience_seconds=30)


def is_dead() -> None:
    raise DeadError("refused")


def is_alive() -> None:
    pass


def turned_away(
    gate: Gate, knock: Callable[[], None] = is_dead, server: str = "redis"
) -> Exception | None:
    """Return what is told to somebody who is not let in."""
    with pytest.raises(NotNowError) as caught, gate.contact(server, knock):
        pytest.fail("contacted a dead server")
    return caught.value.failure


def test_a_server_that_lives_may_be_contacted_by_all(gate: Gate):
    with ExitStack() as under_way:
        for _ in range(10):
            under_way.enter_context(gate.contact("redis", is_alive))


def test_a_dead_server_is_told_to_all_and_knocked_at_once(gate: Gate):
    knocks = []

    def knock() -> None:
        knocks.append(1)
        is_dead()

    for _ in range(10):
        assert isinstance(turned_away(gate, knock), DeadError)
    assert len(knocks) == 1


def test_knocks_become_rare_and_end_with_the_first_answer(gate: Gate, clock: Clock):
    knocks: list[float] = []

    def knock() -> None:
        knocks.append(clock.now)
        is_dead()

    while clock.now < 120:
        turned_away(gate, knock)
        clock.now += 1
    assert [late - early for early, late in pairwise(knocks)][:6] == [2, 4, 8, 16, 30, 30]

    clock.now += 30
    with gate.contact("redis", is_alive):
        pass
    with pytest.raises(DeadError), gate.contact("redis", is_alive):
        is_dead()
    # It begins anew with a short pause.
    assert isinstance(turned_away(gate), DeadError)
    clock.now += 2
    with gate.contact("redis", is_alive):
        pass


def test_an_answer_that_is_an_error_is_an_answer(gate: Gate):
    def refused() -> None:
        raise KeyError("no such user")

    with gate.contact("redis", refused):
        pass
    with pytest.raises(KeyError), gate.contact("redis", refused):
        refused()
    with gate.contact("redis", is_dead):
        pass


@pytest.fixture
def silence() -> Iterator[threading.Event]:
    """What silent servers wait for; set in the end."""
    event = threading.Event()
    yield event
    event.set()


def test_nobody_waits_for_servers_that_say_nothing(silence: threading.Event, clock: Clock):
    gate = Gate(DeadError, clock=clock, patience_seconds=0.01)
    for _ in range(3):
        for number in range(30):
            assert turned_away(gate, silence.wait, f"redis-{number}") is None
    wait_for(lambda: _enters(gate, "alive"), "a server that lives is contacted meanwhile")
    silence.set()
    wait_for(lambda: _enters(gate, "redis-7"), "a server that answers late is contacted then")


def _enters(gate: Gate, server: str) -> bool:
    try:
        with gate.contact(server, is_alive):
            return True
    except NotNowError:
        return False


def test_a_server_that_hesitates_gets_no_second_thread(gate: Gate, clock: Clock):
    with gate.contact("redis", is_alive):
        clock.now += 0.6
        assert turned_away(gate, is_alive) is None
    with gate.contact("redis", is_alive):
        pass


def test_a_server_that_nobody_asks_for_is_forgotten(gate: Gate, clock: Clock):
    knocks: list[float] = []

    def knock() -> None:
        knocks.append(clock.now)
        is_dead()

    def knock_for(seconds: float) -> list[float]:
        knocks.clear()
        end = clock.now + seconds
        while clock.now < end:
            turned_away(gate, knock)
            clock.now += 1
        return [late - early for early, late in pairwise(knocks)]

    assert knock_for(60)[:4] == [2, 4, 8, 16]
    assert knock_for(60) == [30]
    clock.now += 301
    # Nothing of what it did is remembered.
    assert knock_for(20)[:3] == [2, 4, 8]


def test_what_many_found_together_is_one_failure(gate: Gate, clock: Clock):
    visits = [ExitStack() for _ in range(3)]
    for visit in visits:
        visit.enter_context(gate.contact("redis", is_alive))
    for visit in visits:
        with pytest.raises(DeadError), visit:
            is_dead()
    assert isinstance(turned_away(gate), DeadError)
    clock.now += 2
    with gate.contact("redis", is_alive):
        pass

"""Dead servers hold up nobody, and are probed at ever less often."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import pairwise

import pytest

from support.servers import wait_for
from whisperfleet_operator.queues import CircuitBreaker, CircuitOpenError


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
def breaker(clock: Clock) -> CircuitBreaker:
    """A breaker that waits for every probe to be answered."""
    return CircuitBreaker(DeadError, clock=clock, patience_seconds=30)


def is_dead() -> None:
    raise DeadError("refused")


def is_alive() -> None:
    pass


def turned_away(
    breaker: CircuitBreaker, probe: Callable[[], None] = is_dead, server: str = "redis"
) -> Exception | None:
    """Return what is told to somebody who is not let in."""
    with pytest.raises(CircuitOpenError) as caught, breaker.contact(server, probe):
        pytest.fail("contacted a dead server")
    return caught.value.failure


def test_a_server_that_lives_may_be_contacted_by_all(breaker: CircuitBreaker):
    with ExitStack() as under_way:
        for _ in range(10):
            under_way.enter_context(breaker.contact("redis", is_alive))


def test_a_dead_server_is_told_to_all_and_probed_at_once(breaker: CircuitBreaker):
    probes = []

    def probe() -> None:
        probes.append(1)
        is_dead()

    for _ in range(10):
        assert isinstance(turned_away(breaker, probe), DeadError)
    assert len(probes) == 1


def test_probes_become_rare_and_end_with_the_first_answer(breaker: CircuitBreaker, clock: Clock):
    probes: list[float] = []

    def probe() -> None:
        probes.append(clock.now)
        is_dead()

    while clock.now < 120:
        turned_away(breaker, probe)
        clock.now += 1
    assert [late - early for early, late in pairwise(probes)][:6] == [2, 4, 8, 16, 30, 30]

    clock.now += 30
    with breaker.contact("redis", is_alive):
        pass
    with pytest.raises(DeadError), breaker.contact("redis", is_alive):
        is_dead()
    # It begins anew with a short pause.
    assert isinstance(turned_away(breaker), DeadError)
    clock.now += 2
    with breaker.contact("redis", is_alive):
        pass


def test_an_answer_that_is_an_error_is_an_answer(breaker: CircuitBreaker):
    def refused() -> None:
        raise KeyError("no such user")

    with breaker.contact("redis", refused):
        pass
    with pytest.raises(KeyError), breaker.contact("redis", refused):
        refused()
    with breaker.contact("redis", is_dead):
        pass


@pytest.fixture
def silence() -> Iterator[threading.Event]:
    """What silent servers wait for; set in the end."""
    event = threading.Event()
    yield event
    event.set()


def test_nobody_waits_for_servers_that_say_nothing(silence: threading.Event, clock: Clock):
    breaker = CircuitBreaker(DeadError, clock=clock, patience_seconds=0.01)
    for _ in range(3):
        for number in range(30):
            assert turned_away(breaker, silence.wait, f"redis-{number}") is None
    wait_for(lambda: _enters(breaker, "alive"), "a server that lives is contacted meanwhile")
    silence.set()
    wait_for(lambda: _enters(breaker, "redis-7"), "a server that answers late is contacted then")


def _enters(breaker: CircuitBreaker, server: str) -> bool:
    try:
        with breaker.contact(server, is_alive):
            return True
    except CircuitOpenError:
        return False


def test_a_server_that_hesitates_gets_no_second_thread(breaker: CircuitBreaker, clock: Clock):
    with breaker.contact("redis", is_alive):
        clock.now += 0.6
        assert turned_away(breaker, is_alive) is None
    with breaker.contact("redis", is_alive):
        pass


def test_a_server_that_nobody_asks_for_is_forgotten(breaker: CircuitBreaker, clock: Clock):
    probes: list[float] = []

    def probe() -> None:
        probes.append(clock.now)
        is_dead()

    def probe_for(seconds: float) -> list[float]:
        probes.clear()
        end = clock.now + seconds
        while clock.now < end:
            turned_away(breaker, probe)
            clock.now += 1
        return [late - early for early, late in pairwise(probes)]

    assert probe_for(60)[:4] == [2, 4, 8, 16]
    assert probe_for(60) == [30]
    clock.now += 301
    # Nothing of what it did is remembered.
    assert probe_for(20)[:3] == [2, 4, 8]


def test_what_many_found_together_is_one_failure(breaker: CircuitBreaker, clock: Clock):
    visits = [ExitStack() for _ in range(3)]
    for visit in visits:
        visit.enter_context(breaker.contact("redis", is_alive))
    for visit in visits:
        with pytest.raises(DeadError), visit:
            is_dead()
    assert isinstance(turned_away(breaker), DeadError)
    clock.now += 2
    with breaker.contact("redis", is_alive):
        pass

"""The steps of the demo: told while they last, timed, and each bounded."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console

from hack.demo_cluster.errors import DemoError

__all__ = ["Steps"]

_LOOK_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Steps:
    """Tells `console` of each step and keeps its seconds by its name.

    `check` is called between looks and raises what shall end the demo.
    """

    console: Console
    check: Callable[[], None]
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step; one that fails has no time."""
        self.check()
        began = time.monotonic()
        with self.console.status(name):
            yield
        self.seconds[name] = time.monotonic() - began
        self.console.print(f"{self.seconds[name]:7.1f} s  {name}", highlight=False)

    def until(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        """Return once the condition holds. Raises DemoError where it does not in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            self.check()
            if time.monotonic() > deadline:
                raise DemoError(f"not within {seconds:g} s: {what}")
            time.sleep(_LOOK_SECONDS)

"""What a component of the cluster is: a command, what comes before it, when it is ready."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Component"]


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Component:
    """One process of the cluster.

    `prepare` runs before each start of the process and may be run again at any time; `ports` are
    what it listens on; `configuration` are the files that it reads when it starts. `is_ready` must
    hold within `ready_seconds` of its start.
    """

    name: str
    command: tuple[str, ...]
    is_ready: Callable[[], bool]
    ports: tuple[tuple[str, int], ...] = ()
    prepare: Callable[[], None] = _nothing
    environment: Mapping[str, str] = field(default_factory=dict)
    configuration: tuple[Path, ...] = ()
    ready_seconds: float = 90.0
    grace_seconds: float = 10.0

    @property
    def recipe(self) -> str:
        """A digest of all that a process is started from; one of another recipe is out of date."""
        texts = [path.read_text() for path in self.configuration]
        told = json.dumps([self.command, dict(self.environment), texts])
        return hashlib.sha256(told.encode()).hexdigest()[:12]

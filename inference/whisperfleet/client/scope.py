"""Whose view of which queue a client has."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from whisperfleet.contract.keys import Keys, Priority, check_name
from whisperfleet.queue import QueuePolicy

__all__ = ["Scope"]


@dataclass(frozen=True, slots=True)
class Scope:
    """The queue of `keys` as `tenant` sees it, or as it is where that is None.

    `stream_names` are where this client's jobs go, `<priority>` or `<priority>:<tenant>`.
    """

    keys: Keys
    tenant: str | None
    stream_names: tuple[str, ...]
    policy: QueuePolicy

    @classmethod
    def of(
        cls,
        queue_id: str,
        priorities: Sequence[Priority],
        tenant: str | None,
        *,
        own_stream: bool,
        policy: QueuePolicy | None,
    ) -> Self:
        """Check what a caller gave. Raises ValueError for what cannot name a queue or a tenant."""
        if tenant is not None:
            check_name(tenant)
        elif own_stream:
            raise ValueError("a stream of one's own needs a tenant to name it after")
        suffix = f":{tenant}" if own_stream else ""
        names = tuple(f"{priority.name}{suffix}" for priority in priorities)
        return cls(Keys(queue_id), tenant, names, policy or QueuePolicy())

    def includes(self, tenant: str | None) -> bool:
        """Return whether this client sees the jobs of a tenant."""
        return self.tenant in {None, tenant}

    def stream_name(self, priority: str) -> str:
        """Return the name of the stream that jobs of a priority go to.

        Raises ValueError where there is no such priority.
        """
        for name in self.stream_names:
            if name.partition(":")[0] == priority:
                return name
        known = ", ".join(name.partition(":")[0] for name in self.stream_names)
        raise ValueError(f"there is no priority {priority!r}; choose one of {known}")

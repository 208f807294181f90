"""The names of everything a queue keeps in Redis: their one home.

All keys of a queue share the hash tag `{<queue id>}`, so that every key of a script lies in one
slot of a Redis Cluster.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["DEFAULT_PRIORITIES", "InputStream", "Keys", "Priority", "check_name", "split_made_id"]

_QUEUE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,126}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
# An id that the queue made: `<priority>-<entry id>` or `<priority>:<tenant>-<entry id>`.
_MADE_ID = re.compile(r"(?P<stream_name>[^:]+(?::[^:]+)?)-(?P<entry>\d+-\d+)")


def check_name(name: str) -> None:
    """Raise ValueError where a priority or a tenant cannot be called so."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} cannot name a priority or a tenant: use 1 to 63 letters, digits, dots, "
            "dashes or underscores, beginning with a letter or digit"
        )


def split_made_id(job_id: str) -> tuple[str, str] | None:
    """Return the stream's name and the entry of an id that has the queue's own form, else None.

    Where there is no such stream, a producer may have chosen it.
    """
    made = _MADE_ID.fullmatch(job_id)
    return (made["stream_name"], made["entry"]) if made else None


@dataclass(frozen=True, slots=True)
class Priority:
    """A class of jobs and its share of the claims when every class has work."""

    name: str
    weight: int


DEFAULT_PRIORITIES = (Priority("high", 8), Priority("normal", 3), Priority("low", 1))


@dataclass(frozen=True, slots=True)
class InputStream:
    """A stream that takes jobs, by its whole key; `tenant` is whose own it is, if anybody's."""

    key: str
    priority: Priority
    tenant: str | None = None


@dataclass(frozen=True, slots=True)
class Keys:
    """The key names of the queue `queue_id`."""

    queue_id: str

    def __post_init__(self) -> None:
        if not _QUEUE_ID.fullmatch(self.queue_id):
            raise ValueError(
                f"queue id {self.queue_id!r}: use 1 to 127 letters, digits, dots, dashes or "
                "underscores, beginning with a letter or digit"
            )

    @property
    def prefix(self) -> str:
        """The part that every key begins with; what an ACL pattern names."""
        return f"wf:{{{self.queue_id}}}:"

    def stream(self, priority: str, tenant: str | None = None) -> str:
        """Return the stream of a priority, or a producer's own one under it."""
        for name in (priority, *([tenant] if tenant else [])):
            check_name(name)
        return f"{self.prefix}in:{priority}" + (f":{tenant}" if tenant else "")

    def streams(
        self, priorities: Iterable[Priority], tenants: Iterable[str] = ()
    ) -> tuple[InputStream, ...]:
        """Return every stream that takes jobs: the shared ones, then each tenant's own.

        The one list of them: workers claim from it, a fleet wakes on it, depths are counted and
        rights are given by it. Raises ValueError for what cannot name a priority or a tenant.
        """
        classes = tuple(priorities)
        return tuple(
            InputStream(self.stream(priority.name, tenant), priority, tenant)
            for tenant in (None, *tenants)
            for priority in classes
        )

    def stream_named(self, stream_name: str) -> str:
        """Return the stream of this name: `<priority>` or `<priority>:<tenant>`."""
        priority, _, tenant = stream_name.partition(":")
        return self.stream(priority, tenant or None)

    @property
    def group(self) -> str:
        """The one consumer group of every input stream."""
        return "workers"

    def job(self, job_id: str) -> str:
        """Return the hash that holds a job's state."""
        return f"{self.prefix}job:{job_id}"

    def result(self, job_id: str) -> str:
        """Return the string that holds a job's result as JSON."""
        return f"{self.prefix}result:{job_id}"

    def cache(self, digest: str) -> str:
        """Return the string that holds a cached result."""
        return f"{self.prefix}cache:{digest}"

    @property
    def done(self) -> str:
        """The stream with one event for each finished job."""
        return f"{self.prefix}done"

    @property
    def dead_letters(self) -> str:
        """The stream of jobs that need a person."""
        return f"{self.prefix}dlq"

    @property
    def counters(self) -> str:
        """The hash of totals since the queue was made."""
        return f"{self.prefix}counters"

    @property
    def usage(self) -> str:
        """The hash from `<priority>/<tenant>/<figure>` to what the jobs that ended used."""
        return f"{self.prefix}usage"

    @property
    def running(self) -> str:
        """The hash from `<stream>/<entry id>` to the id that a job's producer chose."""
        return f"{self.prefix}running"

    @property
    def meta(self) -> str:
        """The hash with the protocol version, the queue's owner, and when workers were heard."""
        return f"{self.prefix}meta"

    @property
    def trial(self) -> str:
        """What workers try commands on; there is never such a key."""
        return f"{self.prefix}trial"

    @property
    def wakeup(self) -> str:
        """The stream that wakes idle workers when work is handed back."""
        return f"{self.prefix}bell"

"""What a worker takes from a queue, and the rules that the queue's workers share."""

from dataclasses import dataclass, field
from typing import ClassVar, Final

from whisperfleet.contract.keys import DEFAULT_PRIORITIES, Priority
from whisperfleet.contract.times import MIN_KEPT_SECONDS
from whisperfleet.settings.declare import SpecField, check, setting
from whisperfleet.settings.forms import PRIORITIES, TENANTS

__all__ = ["QueuePolicy", "QueueSettings"]

_TITLE: Final = "The queue's rules (the same for all its workers)"


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """What a worker takes from its queue. Raises ValueError for numbers that cannot be."""

    TITLE: ClassVar = _TITLE

    priorities: tuple[Priority, ...] = field(
        default=DEFAULT_PRIORITIES,
        metadata=setting(
            "The classes of jobs, each with a stream of its own, and their shares of the claims. "
            "They can be added to; jobs would stay in the stream of one that is removed.",
            form=PRIORITIES,
            spec=SpecField("queue.priorities", stored=True),
        ),
    )
    tenants: tuple[str, ...] = field(
        default=(),
        metadata=setting(
            "Producers with streams of their own, one of each priority: "
            "wf:{queue}:in:<priority>:<tenant>. They share the claims with the shared streams. The "
            "streams of one that is removed are served until they are empty.",
            form=TENANTS,
            spec=SpecField("queue.tenants"),
        ),
    )
    cache_seconds: float = field(
        default=86_400.0,
        metadata=setting(
            "How long a transcript answers for the same audio.",
            least=MIN_KEPT_SECONDS,
            zero="never",
        ),
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True)
class QueuePolicy:
    """The limits that a queue's workers share.

    With a budget of 4 deliveries, healthy jobs died in a storm of killed workers, with 8 none did.
    From `suspect_deliveries` on a job is tried alone. Raises ValueError for numbers that cannot be
    or contradict each other.
    """

    TITLE: ClassVar = _TITLE

    lease_seconds: float = field(
        default=60.0,
        metadata=setting(
            "Jobs whose worker has not renewed its lease for this long are given to another "
            "worker, in seconds.",
            spec=SpecField("queue.leaseSeconds", least=10, most=3600, stored=True),
        ),
    )
    beat_seconds: float = field(
        default=15.0,
        metadata=setting(
            "How often a worker renews its leases, in seconds; at most half a lease.", reserved=True
        ),
    )
    reclaim_seconds: float = 5.0
    max_deliveries: int = field(
        default=8,
        metadata=setting(
            "A job that was begun this often without an end is dead.",
            spec=SpecField("queue.maxDeliveries", least=1, most=100, stored=True),
        ),
    )
    suspect_deliveries: int = 3
    max_releases: int = field(
        default=50,
        metadata=setting(
            "A job that was handed back this often, by workers that had to go, is dead.",
            spec=SpecField("queue.maxReleases", least=1, most=10_000, stored=True),
        ),
    )
    max_retries: int = field(
        default=5,
        metadata=setting("A job that failed this often for a cause that passes is dead."),
    )
    result_seconds: float = field(
        default=86_400.0,
        metadata=setting(
            "How long a result stays in Redis, in seconds.",
            least=MIN_KEPT_SECONDS,
            spec=SpecField("results.retentionSeconds", least=60, most=31_536_000, stored=True),
        ),
    )
    done_max_length: int = 100_000
    dead_letter_seconds: float = field(
        default=1_209_600.0,
        metadata=setting(
            "How long a dead letter stays, with all that sending it again takes, in seconds.",
            least=MIN_KEPT_SECONDS,
            spec=SpecField(
                "queue.deadLetters.retentionSeconds", least=3600, most=31_536_000, stored=True
            ),
        ),
    )
    dead_letter_max_length: int = field(
        default=10_000,
        metadata=setting(
            "Dead letters that are kept, about; beyond it the oldest go.",
            spec=SpecField("queue.deadLetters.maxLength", least=1, most=1_000_000, stored=True),
        ),
    )
    settle_seconds: float = 300.0

    def __post_init__(self) -> None:
        check(self)
        if self.beat_seconds * 2 > self.lease_seconds:
            raise ValueError(
                f"beat_seconds is {self.beat_seconds} and lease_seconds {self.lease_seconds}; one "
                "renewal may get lost, so a lease lasts at least two"
            )

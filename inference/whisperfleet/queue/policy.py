"""How long, how often and how much: the numbers of the queue's protocol."""

from dataclasses import dataclass, fields

from whisperfleet.contract.times import MIN_KEPT_SECONDS, check_seconds

__all__ = ["QueuePolicy"]

_KEPT = frozenset({"result_seconds", "dead_letter_seconds"})
# Far below where Lua's numbers lose their last digit.
_MOST = 10**9


@dataclass(frozen=True, slots=True)
class QueuePolicy:
    """The limits that a queue's workers share.

    A job whose worker has not renewed its lease for `lease_seconds` is given to another; a worker
    renews every `beat_seconds`. A job that was begun `max_deliveries` times without an end is dead:
    with a budget of 4, healthy jobs died in a storm of killed workers, with 8 none did. From
    `suspect_deliveries` on it is tried alone. It may be handed back `max_releases` times and
    retried `max_retries` times. Raises ValueError for numbers that contradict each other.
    """

    lease_seconds: float = 60.0
    beat_seconds: float = 15.0
    reclaim_seconds: float = 5.0
    max_deliveries: int = 8
    suspect_deliveries: int = 3
    max_releases: int = 50
    max_retries: int = 5
    result_seconds: float = 86_400.0
    done_max_length: int = 100_000
    dead_letter_seconds: float = 1_209_600.0
    dead_letter_max_length: int = 10_000
    settle_seconds: float = 300.0

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            if name in _KEPT:
                check_seconds(name, value, MIN_KEPT_SECONDS)
            elif name.endswith("_seconds"):
                check_seconds(name, value)
            elif not 1 <= value <= _MOST:
                raise ValueError(f"{name} is {value}; it must be from 1 to {_MOST}")
        if self.beat_seconds * 2 > self.lease_seconds:
            raise ValueError(
                f"beat_seconds is {self.beat_seconds} and lease_seconds {self.lease_seconds}; one "
                "renewal may get lost, so a lease lasts at least two"
            )

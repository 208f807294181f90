"""What a worker does at once and for how long, and the process that it is."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final, Literal

from whisperfleet.settings.declare import SpecField, check, setting

__all__ = ["BATCHES_IN_FLIGHT", "OWN_IN_FLIGHT", "LoadSettings", "ProcessSettings"]

# Where the number of jobs in flight is not set: while one batch of short clips runs, the next one
# is made. More would only be kept from other workers.
BATCHES_IN_FLIGHT: Final = 2
# And never more than this: what is there before the engine knows its batch is made for so many.
OWN_IN_FLIGHT: Final = 64


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """How much a worker takes on, and how long it waits.

    Raises ValueError for numbers that cannot be.
    """

    TITLE: ClassVar = "Load and time"

    max_in_flight: int = field(
        default=0,
        metadata=setting(
            "Jobs that a worker holds at once.",
            most=4096,
            zero=f"two batches of its device, 32 jobs on a CPU and up to {OWN_IN_FLIGHT} on a GPU",
            spec=SpecField("worker.maxInFlight", least=1, most=256),
        ),
    )
    max_audio_seconds_in_flight: float = field(
        default=1920.0,
        metadata=setting("Seconds of audio that wait before the engine, beside a window a job."),
    )
    job_timeout_seconds: float = field(
        default=7200.0,
        metadata=setting(
            "How long a job may take before it fails, in seconds.",
            spec=SpecField("worker.jobTimeoutSeconds", least=1, most=604_800, stored=True),
        ),
    )
    drain_seconds: float = field(
        default=90.0,
        metadata=setting(
            "What a worker has between its notice to go and its end, in seconds: it finishes what "
            "fits, and hands the rest back.",
            spec=SpecField("worker.drainSeconds", least=5, most=3600, stored=True),
        ),
    )
    stall_seconds: float = field(
        default=300.0,
        metadata=setting(
            "A worker that makes no progress for this long counts as hung and loses its leases."
        ),
    )

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, slots=True)
class ProcessSettings:
    """Where a worker's process is looked at, and where it writes. Raises ValueError."""

    TITLE: ClassVar = "The process"

    http_host: str = field(
        default="127.0.0.1",
        metadata=setting("Address that serves health and metrics; 0.0.0.0: all.", reserved=True),
    )
    http_port: int = field(
        default=9464,
        metadata=setting(
            "Its port.", most=65_535, zero="any free one, which the log names", reserved=True
        ),
    )
    log_level: Literal["debug", "info", "warning", "error"] = field(
        default="info",
        metadata=setting("How much is logged, as JSON on standard error, a line each."),
    )
    scratch: Path | None = field(
        default=None,
        metadata=setting("Folder for fetched files while their job runs; absent: the system's."),
    )

    def __post_init__(self) -> None:
        check(self)

"""Everything a worker can be told, as one frozen value."""

import os
import secrets
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from whisperfleet.audio.decoder import DecodeLimits
from whisperfleet.audio.policy import FetchPolicy
from whisperfleet.contract.keys import DEFAULT_PRIORITIES, Priority
from whisperfleet.contract.times import MIN_KEPT_SECONDS, check_seconds
from whisperfleet.engine.options import DecodingOptions
from whisperfleet.errors import ConfigurationError
from whisperfleet.queue import QueuePolicy, RedisSettings
from whisperfleet.segmentation import SegmentationOptions

__all__ = ["Device", "WorkerSettings"]

Device = Literal["auto", "cpu", "cuda"]

_MOST_AT_ONCE = 4096
_LAST_PORT = 65_535


def _consumer_name() -> str:
    # The nonce tells a restarted container from its former self, whose entries are still pending.
    pod = os.environ.get("WHISPERFLEET_POD_UID") or f"{socket.gethostname()}-{os.getpid()}"
    return f"{pod}-{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker works on, with what, and within which limits.

    `tenants` have streams of their own beside the shared one of each of `priorities`.
    `batch_size` windows are recognised together; 0 leaves the number to the device's memory.
    `max_in_flight` jobs are held at once; 0 is two batches of jobs of one window. The audio of at
    most `max_audio_seconds_in_flight` waits before the engine, beside one window of each job. A job
    may take `job_timeout_seconds`. After SIGTERM the worker finishes what it can in `drain_seconds`
    and hands the rest back; a worker that makes no progress for `stall_seconds` loses its leases.
    `http_port` serves health and metrics; 0 takes a free port. `cache_seconds` is how long a
    transcript answers for the same audio; 0 never. `scratch` is where fetched files lie while their
    job runs; None is the system's place for such.
    """

    redis: RedisSettings
    queue_id: str
    model: str
    priorities: tuple[Priority, ...] = DEFAULT_PRIORITIES
    tenants: tuple[str, ...] = ()
    device: Device = "auto"
    compute_type: str = "default"
    cpu_threads: int = 0
    batch_size: int = 0
    decoding: DecodingOptions = field(default_factory=DecodingOptions)
    segmentation: SegmentationOptions = field(default_factory=SegmentationOptions)
    fetching: FetchPolicy = field(default_factory=FetchPolicy)
    decode_limits: DecodeLimits = field(default_factory=DecodeLimits)
    queue_policy: QueuePolicy = field(default_factory=QueuePolicy)
    max_in_flight: int = 0
    max_audio_seconds_in_flight: float = 1920.0
    job_timeout_seconds: float = 7200.0
    drain_seconds: float = 90.0
    stall_seconds: float = 300.0
    cache_seconds: float = 86_400.0
    http_host: str = "127.0.0.1"
    http_port: int = 9464
    log_level: str = "info"
    scratch: Path | None = None
    consumer: str = field(default_factory=_consumer_name)

    def __post_init__(self) -> None:
        for name in ("batch_size", "max_in_flight"):
            if not 0 <= getattr(self, name) <= _MOST_AT_ONCE:
                raise ConfigurationError(
                    f"{name} is {getattr(self, name)}; it must be from 1 to {_MOST_AT_ONCE}, or 0 "
                    "for the device's own number"
                )
        if not 0 <= self.http_port <= _LAST_PORT:
            raise ConfigurationError(
                f"http_port is {self.http_port}; it must be from 1 to {_LAST_PORT}, or 0 for any "
                "free one"
            )
        try:
            for name in (
                "max_audio_seconds_in_flight",
                "job_timeout_seconds",
                "drain_seconds",
                "stall_seconds",
            ):
                check_seconds(name, getattr(self, name))
            if self.cache_seconds != 0:
                check_seconds("cache_seconds", self.cache_seconds, MIN_KEPT_SECONDS)
        except ValueError as error:
            raise ConfigurationError(str(error)) from None
        if self.scratch is not None:
            _check_scratch(self.scratch)


def _check_scratch(folder: Path) -> None:
    """Refuse a folder that nothing can be written to before the model is loaded for nothing."""
    if not folder.is_dir():
        raise ConfigurationError(
            f"the scratch directory {folder} does not exist; make it, or mount a volume"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigurationError(
            f"the scratch directory {folder} cannot be written; mount a volume that can, or give "
            "it to the user that the worker runs as"
        )

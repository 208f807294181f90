"""Everything a worker can be told, as one frozen value."""

import os
import secrets
import socket
from dataclasses import dataclass, field
from pathlib import Path

from whisperfleet.audio.decoder import DecodeLimits
from whisperfleet.audio.policy import FetchPolicy
from whisperfleet.engine.options import DecodingOptions
from whisperfleet.errors import ConfigurationError
from whisperfleet.queue import QueuePolicy, RedisSettings
from whisperfleet.segmentation import SegmentationOptions
from whisperfleet.settings import (
    EngineSettings,
    InputSettings,
    LoadSettings,
    ProcessSettings,
    QueueSettings,
)

__all__ = ["WorkerSettings"]

_DECODE_LIMITS = DecodeLimits(InputSettings().max_audio_seconds)


def _consumer_name() -> str:
    # The nonce tells a restarted container from its former self, whose entries are still pending.
    pod = os.environ.get("WHISPERFLEET_POD_UID") or f"{socket.gethostname()}-{os.getpid()}"
    return f"{pod}-{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker works on, with what, and within which limits.

    What a person can set is declared in `whisperfleet.settings`; the other numbers of the values
    here are the worker's own. Raises ConfigurationError for a scratch folder that cannot be used.
    """

    redis: RedisSettings
    queue_id: str
    engine: EngineSettings
    decoding: DecodingOptions = field(default_factory=DecodingOptions)
    segmentation: SegmentationOptions = field(default_factory=SegmentationOptions)
    fetching: FetchPolicy = field(default_factory=FetchPolicy)
    decode_limits: DecodeLimits = _DECODE_LIMITS
    queue: QueueSettings = field(default_factory=QueueSettings)
    queue_policy: QueuePolicy = field(default_factory=QueuePolicy)
    load: LoadSettings = field(default_factory=LoadSettings)
    process: ProcessSettings = field(default_factory=ProcessSettings)
    consumer: str = field(default_factory=_consumer_name)

    def __post_init__(self) -> None:
        if self.process.scratch is not None:
            _check_scratch(self.process.scratch)


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

"""From the options of `whisperfleet worker` to a running worker. Needs the extra `worker`."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whisperfleet.audio.addresses import parse_networks
from whisperfleet.audio.decoder import DecodeLimits
from whisperfleet.audio.policy import FetchPolicy
from whisperfleet.cli.connection import redis_settings
from whisperfleet.contract.keys import Keys, Priority
from whisperfleet.engine.options import DecodingOptions
from whisperfleet.errors import ConfigurationError
from whisperfleet.queue import QueuePolicy
from whisperfleet.segmentation import Segmentation, SegmentationOptions
from whisperfleet.worker.process import run_worker
from whisperfleet.worker.settings import WorkerSettings

__all__ = ["run", "settings_of"]


def run(given: Mapping[str, Any]) -> int:
    """Run a worker with the options of `worker`, by name; return its exit code."""
    return run_worker(settings_of(given))


def settings_of(given: Mapping[str, Any]) -> WorkerSettings:
    """Return the settings that the options ask for.

    Raises ConfigurationError where a value cannot be, or contradicts another.
    """

    def own(*names: str) -> dict[str, Any]:
        return {name: given[name] for name in names}

    try:
        return WorkerSettings(
            redis=redis_settings(given["redis"]),
            queue_id=Keys(given["queue"]).queue_id,
            priorities=_priorities(given["priorities"]),
            tenants=_split(given["tenants"], ","),
            decoding=DecodingOptions(beam_size=given["beam_size"]),
            segmentation=SegmentationOptions(
                mode=Segmentation(given["segmentation"]), **own("vad", "max_window_seconds")
            ),
            fetching=FetchPolicy(
                allowed_hosts=_split(given["allowed_hosts"], ","),
                allowed_networks=parse_networks(_split(given["allowed_networks"], ",")),
                file_roots=tuple(map(Path, _split(given["file_roots"], os.pathsep))),
                ca_file=given["fetch_ca_file"],
                total_timeout_seconds=given["fetch_timeout_seconds"],
                **own("allow_http", "max_bytes"),
            ),
            decode_limits=DecodeLimits(max_seconds=given["max_audio_seconds"]),
            queue_policy=QueuePolicy(
                **own("lease_seconds", "beat_seconds", "max_deliveries", "max_releases"),
                **own("max_retries", "result_seconds"),
                **own("dead_letter_seconds", "dead_letter_max_length"),
            ),
            **own("model", "device", "compute_type", "cpu_threads", "batch_size"),
            **own("max_in_flight", "max_audio_seconds_in_flight", "job_timeout_seconds"),
            **own("drain_seconds", "stall_seconds", "cache_seconds", "http_host", "http_port"),
            **own("log_level", "scratch"),
        )
    except ValueError as error:
        raise ConfigurationError(
            f"{error} (`whisperfleet worker --help` lists the options)"
        ) from error


def _priorities(text: str) -> tuple[Priority, ...]:
    """Read ``name:weight,…``. Raises ValueError."""
    priorities = []
    for part in _split(text, ","):
        name, _, weight = part.partition(":")
        if not weight.isdecimal() or int(weight) < 1:
            raise ValueError(f"the priority {part!r} has no weight: write name:weight, from 1 up")
        priorities.append(Priority(name, int(weight)))
    if not priorities:
        raise ValueError("a worker needs at least one priority to work on")
    return tuple(priorities)


def _split(text: str, separator: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(separator) if part.strip())

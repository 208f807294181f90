"""From the options of `whisperfleet worker` to a running worker. Needs the extra `worker`."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from whisperfleet.audio.decoder import DecodeLimits
from whisperfleet.audio.policy import FetchPolicy
from whisperfleet.cli.connection import redis_settings
from whisperfleet.contract.keys import Keys
from whisperfleet.engine.options import DecodingOptions
from whisperfleet.errors import ConfigurationError
from whisperfleet.segmentation import Segmentation, SegmentationOptions
from whisperfleet.settings import (
    EngineSettings,
    InputSettings,
    LoadSettings,
    ProcessSettings,
    QueuePolicy,
    QueueSettings,
    RecognitionSettings,
    settings_in,
)
from whisperfleet.worker.process import run_worker
from whisperfleet.worker.settings import WorkerSettings

__all__ = ["run", "settings_of"]

_Group = TypeVar("_Group")


def run(given: Mapping[str, Any], work: Callable[[WorkerSettings], int] | None = None) -> int:
    """Run a worker with the options of `worker`, by name; return its exit code.

    `work` runs it; None is `run_worker`.
    """
    return (work or run_worker)(settings_of(given))


def settings_of(given: Mapping[str, Any]) -> WorkerSettings:
    """Return the settings that the options ask for.

    Raises ConfigurationError where a value cannot be, or contradicts another.
    """
    try:
        recognition = _group(RecognitionSettings, given)
        inputs = _group(InputSettings, given)
        return WorkerSettings(
            redis=redis_settings(given["redis"]),
            queue_id=Keys(given["queue"]).queue_id,
            engine=_group(EngineSettings, given),
            decoding=DecodingOptions(beam_size=recognition.beam_size),
            segmentation=SegmentationOptions(
                mode=Segmentation(recognition.segmentation),
                vad=recognition.vad,
                max_window_seconds=recognition.max_window_seconds,
            ),
            fetching=FetchPolicy(
                allow_http=inputs.allow_http,
                allowed_hosts=inputs.allowed_hosts,
                allowed_networks=inputs.allowed_networks,
                file_roots=inputs.file_roots,
                ca_file=inputs.fetch_ca_file,
                max_bytes=inputs.max_bytes,
                total_timeout_seconds=inputs.fetch_timeout_seconds,
            ),
            decode_limits=DecodeLimits(max_seconds=inputs.max_audio_seconds),
            queue=_group(QueueSettings, given),
            queue_policy=_group(QueuePolicy, given),
            load=_group(LoadSettings, given),
            process=_group(ProcessSettings, given),
        )
    except ValueError as error:
        raise ConfigurationError(
            f"{error} (`whisperfleet worker --help` lists the options)"
        ) from error


def _group(kind: type[_Group], given: Mapping[str, Any]) -> _Group:
    return kind(**{each.name: each.read(given[each.name]) for each in settings_in(kind)})

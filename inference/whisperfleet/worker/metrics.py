"""What the people on call can ask a worker. No label holds anything that a producer wrote."""

import math
from collections.abc import Callable
from functools import partial

from prometheus_client import Counter, Gauge, Histogram, Info

from whisperfleet.contract.codes import Code
from whisperfleet.contract.states import State
from whisperfleet.contract.warnings import WarningCode
from whisperfleet.engine import DeviceMemory

__all__ = [
    "able",
    "audio_seconds",
    "batch_limit",
    "batch_windows",
    "cache_lookups",
    "claims",
    "engine_seconds",
    "fallback_passes",
    "finishes",
    "gpu_memory_bytes",
    "in_flight",
    "job_seconds",
    "job_wait_seconds",
    "jobs",
    "jobs_claimed",
    "lost_device_seconds",
    "model",
    "queue_errors",
    "releases",
    "stage_seconds",
    "startup_seconds",
    "warnings",
    "watch_gpu_memory",
    "window_wait_seconds",
    "windows",
    "windows_waiting",
]

# From a clip that hits the cache to a file of some hours.
_STAGE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)

cache_lookups = Counter(
    "whisperfleet_cache_lookups", "Jobs whose transcript was looked for in the cache", ["answer"]
)
jobs_claimed = Counter(
    "whisperfleet_jobs_claimed",
    "Jobs taken from the queue, by priority and by stream",
    ["priority", "stream"],
)
# What 0.1.0 served: its label `stream` holds the priority, so the name cannot be used again.
claims = Counter(
    "whisperfleet_claims",
    "Jobs taken from the queue, by priority in spite of the label; gone with the next version",
    ["stream"],
)
jobs = Counter("whisperfleet_jobs", "Jobs that ended here, by state and code", ["state", "code"])
finishes = Counter("whisperfleet_finishes", "What the queue said to a finished job", ["answer"])
warnings = Counter("whisperfleet_warnings", "What results lack or guess, by code", ["code"])
releases = Counter("whisperfleet_releases", "Jobs handed back to the queue", ["reason"])
in_flight = Gauge("whisperfleet_jobs_in_flight", "Jobs between claim and finish")
job_wait_seconds = Histogram(
    "whisperfleet_job_wait_seconds",
    "Seconds from a job's entry into the queue to the claim that ended it",
    buckets=_STAGE_BUCKETS,
)
job_seconds = Histogram(
    "whisperfleet_job_seconds",
    "Seconds from the claim that ended a job to its result",
    buckets=_STAGE_BUCKETS,
)
stage_seconds = Histogram(
    "whisperfleet_stage_seconds",
    "Wall-clock seconds of a job in each stage",
    ["stage"],
    buckets=_STAGE_BUCKETS,
)
windows_waiting = Gauge("whisperfleet_windows_waiting", "Windows in line before the engine")
window_wait_seconds = Histogram(
    "whisperfleet_window_wait_seconds",
    "Seconds that a window waits in line before the engine",
    buckets=_STAGE_BUCKETS,
)
batch_windows = Histogram(
    "whisperfleet_batch_windows",
    "Windows that share their first pass through the engine",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128),
)
batch_limit = Gauge(
    "whisperfleet_batch_limit",
    "Windows that a batch may have: less where memory ran out or the model is slow",
)
windows = Counter("whisperfleet_windows", "Windows that the engine has answered")
audio_seconds = Counter(
    "whisperfleet_audio_seconds", "Seconds of audio that the engine has answered"
)
fallback_passes = Counter(
    "whisperfleet_fallback_passes",
    "Further passes of windows whose text did not suffice, one for each window and temperature",
)
engine_seconds = Counter("whisperfleet_engine_seconds", "Seconds in which the engine was busy")
lost_device_seconds = Counter(
    "whisperfleet_lost_device_seconds",
    "Seconds of the engine that no job's usage has: of attempts that did not end their job",
)
queue_errors = Counter("whisperfleet_queue_errors", "Calls to Redis that failed", ["call"])
able = Gauge(
    "whisperfleet_able", "1 where the last try of what a worker needs went well, else 0", ["need"]
)
startup_seconds = Gauge("whisperfleet_startup_seconds", "From the start of the process to ready")
gpu_memory_bytes = Gauge(
    "whisperfleet_gpu_memory_bytes",
    "Memory of the GPU that is used, by whomever, and free; nothing where the model is on a CPU",
    ["state"],
)
model = Info("whisperfleet_model", "The model that is loaded")

# Verdicts that leave a job to a person, and what makes one end early.
_OF_THE_DEAD = {
    Code.DELIVERIES_EXHAUSTED,
    Code.ENTRY_LOST,
    Code.MALFORMED_ENTRY,
    Code.RELEASES_EXHAUSTED,
    Code.RETRIES_EXHAUSTED,
    Code.UNSUPPORTED_VERSION,
}
_EARLY = {State.CANCELLED: Code.CANCELLED, State.EXPIRED: Code.DEADLINE_PASSED}


def _count_from_zero() -> None:
    """Let every count be there before the first: Prometheus sees no rise from nothing to one."""
    jobs.labels(State.DONE.value, "")
    for warning in WarningCode:
        warnings.labels(warning.value)
    for state, code in _EARLY.items():
        jobs.labels(state.value, code.value)
    for code in set(Code) - set(_EARLY.values()):
        jobs.labels((State.DEAD if code in _OF_THE_DEAD else State.FAILED).value, code.value)


_count_from_zero()


def watch_gpu_memory(read: Callable[[], DeviceMemory | None]) -> None:
    """Read the engine's memory at each scrape from now on."""
    for state in ("used", "free"):
        gpu_memory_bytes.labels(state).set_function(partial(_gpu_bytes, read, state))


def _gpu_bytes(read: Callable[[], DeviceMemory | None], state: str) -> float:
    try:
        memory = read()
    except OSError:
        memory = None
    if memory is None:
        # All other figures are worth more where a GPU has failed.
        return math.nan
    return memory.free if state == "free" else memory.total - memory.free

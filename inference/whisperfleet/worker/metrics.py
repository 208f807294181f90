"""What the people on call can ask a worker. No label holds anything that a producer wrote."""

from prometheus_client import Counter, Gauge, Histogram, Info

__all__ = [
    "audio_seconds",
    "batch_limit",
    "batch_windows",
    "cache_lookups",
    "claims",
    "engine_seconds",
    "finishes",
    "in_flight",
    "jobs",
    "model",
    "queue_errors",
    "releases",
    "stage_seconds",
    "startup_seconds",
    "window_wait_seconds",
    "windows",
    "windows_waiting",
]

# From a clip that hits the cache to a file of some hours.
_STAGE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)

cache_lookups = Counter(
    "whisperfleet_cache_lookups", "Jobs whose transcript was looked for in the cache", ["answer"]
)
claims = Counter("whisperfleet_claims", "Jobs taken from the queue", ["stream"])
jobs = Counter("whisperfleet_jobs", "Jobs that ended here, by state and code", ["state", "code"])
finishes = Counter("whisperfleet_finishes", "What the queue said to a finished job", ["answer"])
releases = Counter("whisperfleet_releases", "Jobs handed back to the queue", ["reason"])
in_flight = Gauge("whisperfleet_jobs_in_flight", "Jobs between claim and finish")
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
    "Windows that share a call of the engine",
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
engine_seconds = Counter("whisperfleet_engine_seconds", "Seconds in which the engine was busy")
queue_errors = Counter("whisperfleet_queue_errors", "Calls to Redis that failed", ["call"])
startup_seconds = Gauge("whisperfleet_startup_seconds", "From the start of the process to ready")
model = Info("whisperfleet_model", "The model that is loaded")

"""`whisperfleet worker`: every setting as an option and as an environment variable."""

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from whisperfleet.cli.extras import require_extra
from whisperfleet.cli.options import DEFAULT_QUEUE_ID, DEFAULT_REDIS_URL, QueueOption, RedisOption
from whisperfleet.contract.keys import DEFAULT_PRIORITIES

__all__ = ["worker"]

DEFAULT_PRIORITY_LIST = ",".join(f"{p.name}:{p.weight}" for p in DEFAULT_PRIORITIES)

_MIB = 1024**2

_MODEL = "The model"
_WORDS = "From audio to words"
_INPUT = "What a job may fetch and cost"
_LOAD = "Load and time"
_QUEUE = "The queue's rules (the same for all its workers)"
_PROCESS = "The process"


def _setting(
    name: str,
    help: str,  # noqa: A002 - as typer calls it
    panel: str,
    *,
    least: float | None = None,
    show_default: bool | str = True,
) -> Any:
    return typer.Option(
        f"--{name}",
        envvar=f"WHISPERFLEET_{name.partition('/')[0].replace('-', '_').upper()}",
        help=help,
        rich_help_panel=panel,
        min=least,
        show_default=show_default,
    )


def worker(
    model: Annotated[
        str,
        _setting(
            "model",
            "A folder with a CTranslate2 Whisper model, `demo` for the bundled one, or a name on "
            "the hub.",
            _MODEL,
        ),
    ],
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        _setting("device", "`cuda` that cannot start is an error, never a silent CPU.", _MODEL),
    ] = "auto",
    compute_type: Annotated[
        str, _setting("compute-type", "Of CTranslate2: int8, int8_float16, float16, ...", _MODEL)
    ] = "default",
    cpu_threads: Annotated[
        int, _setting("cpu-threads", "Threads of the engine; 0: its own choice.", _MODEL, least=0)
    ] = 0,
    batch_size: Annotated[
        int,
        _setting(
            "batch-size",
            "Windows that are recognised together; 0: what the device's memory holds.",
            _MODEL,
            least=0,
        ),
    ] = 0,
    beam_size: Annotated[
        int, _setting("beam-size", "Hypotheses that are followed; 1 is greedy.", _WORDS, least=1)
    ] = 5,
    vad: Annotated[
        bool,
        _setting(
            "vad/--no-vad", "Skip what the voice activity detector hears no speech in.", _WORDS
        ),
    ] = True,
    segmentation: Annotated[
        Literal["parallel", "sequential"],
        _setting(
            "segmentation",
            "`parallel` cuts at pauses into windows of their own; `sequential` reads on where the "
            "last window's words ended, with them as its prompt.",
            _WORDS,
        ),
    ] = "parallel",
    max_window_seconds: Annotated[
        float, _setting("max-window-seconds", "Longest window of `parallel`: 5 to 30 s.", _WORDS)
    ] = 30.0,
    max_bytes: Annotated[
        int, _setting("max-bytes", "Largest file, in bytes.", _INPUT, least=1)
    ] = 1024 * _MIB,
    max_audio_seconds: Annotated[
        float, _setting("max-audio-seconds", "Longest audio of a job, in seconds.", _INPUT)
    ] = 14_400.0,
    allow_http: Annotated[
        bool, _setting("allow-http/--https-only", "Fetch over http:// too.", _INPUT)
    ] = False,
    allowed_hosts: Annotated[
        str,
        _setting(
            "allowed-hosts",
            "Hosts to fetch from, by commas: names, *.suffix or [IPv6]. Empty: any public one.",
            _INPUT,
        ),
    ] = "",
    allowed_networks: Annotated[
        str,
        _setting(
            "allowed-networks",
            "Networks that may be contacted though they are not public, by commas: 10.20.0.0/16.",
            _INPUT,
        ),
    ] = "",
    file_roots: Annotated[
        str,
        _setting(
            "file-roots",
            f"Folders that file: addresses may name, by `{os.pathsep}`. Empty: no file: at all.",
            _INPUT,
        ),
    ] = "",
    fetch_ca_file: Annotated[
        Path | None,
        _setting("fetch-ca-file", "PEM bundle of a private store's certificate authority.", _INPUT),
    ] = None,
    fetch_timeout_seconds: Annotated[
        float, _setting("fetch-timeout-seconds", "For a whole download.", _INPUT)
    ] = 900.0,
    max_in_flight: Annotated[
        int,
        _setting(
            "max-in-flight",
            "Jobs that are held at once; 0: two batches of one-window jobs.",
            _LOAD,
            least=0,
        ),
    ] = 0,
    max_audio_seconds_in_flight: Annotated[
        float,
        _setting("max-audio-seconds-in-flight", "Seconds of audio before the engine.", _LOAD),
    ] = 1920.0,
    job_timeout_seconds: Annotated[
        float, _setting("job-timeout-seconds", "After that a job fails.", _LOAD)
    ] = 7200.0,
    drain_seconds: Annotated[
        float,
        _setting("drain-seconds", "Notice after SIGTERM: what does not fit goes back.", _LOAD),
    ] = 90.0,
    stall_seconds: Annotated[
        float, _setting("stall-seconds", "Without progress, the worker counts as hung.", _LOAD)
    ] = 300.0,
    priorities: Annotated[
        str,
        _setting("priorities", "Streams and their shares of the claims: name:weight,…", _QUEUE),
    ] = DEFAULT_PRIORITY_LIST,
    tenants: Annotated[
        str, _setting("tenants", "Who has streams of their own, by commas.", _QUEUE)
    ] = "",
    cache_seconds: Annotated[
        float,
        _setting(
            "cache-seconds", "How long a transcript answers for the same audio; 0: never.", _QUEUE
        ),
    ] = 86_400.0,
    lease_seconds: Annotated[
        float, _setting("lease-seconds", "A job whose worker is silent so long goes on.", _QUEUE)
    ] = 60.0,
    beat_seconds: Annotated[
        float,
        _setting("beat-seconds", "How often a worker speaks up; at most half a lease.", _QUEUE),
    ] = 15.0,
    max_deliveries: Annotated[
        int, _setting("max-deliveries", "Begun so often without an end: dead.", _QUEUE, least=1)
    ] = 8,
    max_releases: Annotated[
        int, _setting("max-releases", "Handed back so often: dead.", _QUEUE, least=1)
    ] = 50,
    max_retries: Annotated[
        int, _setting("max-retries", "Failed in passing so often: dead.", _QUEUE, least=1)
    ] = 5,
    result_seconds: Annotated[
        float, _setting("result-seconds", "How long a result is kept.", _QUEUE)
    ] = 86_400.0,
    dead_letter_seconds: Annotated[
        float,
        _setting("dead-letter-seconds", "How long a dead letter and its job are kept.", _QUEUE),
    ] = 1_209_600.0,
    dead_letter_max_length: Annotated[
        int,
        _setting(
            "dead-letter-max-length",
            "Dead letters that are kept, about; beyond it the oldest go.",
            _QUEUE,
            least=1,
        ),
    ] = 10_000,
    http_host: Annotated[
        str,
        _setting("http-host", "Address that serves health and metrics; 0.0.0.0: all.", _PROCESS),
    ] = "127.0.0.1",
    http_port: Annotated[
        int,
        _setting("http-port", "Its port; 0: any free one, which the log names.", _PROCESS, least=0),
    ] = 9464,
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        _setting("log-level", "The log is JSON on standard error, a line each.", _PROCESS),
    ] = "info",
    scratch: Annotated[
        Path | None,
        _setting(
            "scratch",
            "Folder for fetched files while their job runs.",
            _PROCESS,
            show_default="the system's",
        ),
    ] = None,
    redis: RedisOption = DEFAULT_REDIS_URL,
    queue: QueueOption = DEFAULT_QUEUE_ID,
) -> None:
    """Work on the jobs of a queue until SIGTERM, then finish or hand back what is in flight.

    Health is at /livez and /readyz, metrics for Prometheus are at /metrics.
    """
    given = dict(locals())  # every option by its name
    require_extra("worker")
    # Read when numpy is loaded. Each job has a thread of its own: more within its small products
    # only wait for one another, at three times the processor time (ADR 6).
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from whisperfleet.cli import worker_settings  # noqa: PLC0415 - needs the extra

    raise typer.Exit(worker_settings.run(given))

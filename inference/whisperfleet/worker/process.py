"""The worker as a process: wire the parts, tell the truth about health, drain on SIGTERM."""

import json
import logging
import os
import threading
import time
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from whisperfleet import __version__
from whisperfleet.audio.decoder import DecoderPool
from whisperfleet.audio.fetch import Fetcher
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.result import ModelInfo
from whisperfleet.engine.ctranslate2.models import ResolvedModel, resolve_model
from whisperfleet.engine.ctranslate2.whisper import WhisperEngine
from whisperfleet.errors import (
    ConfigurationError,
    EngineLostError,
    StartupError,
    WhisperfleetError,
)
from whisperfleet.exit_codes import ExitCode
from whisperfleet.health import HealthServer
from whisperfleet.queue import RedisSettings, WorkQueue
from whisperfleet.settings import BATCHES_IN_FLIGHT, OWN_IN_FLIGHT
from whisperfleet.worker import logs, metrics
from whisperfleet.worker.batcher import Batcher
from whisperfleet.worker.cache import TranscriptCache
from whisperfleet.worker.host_memory import keep_host_memory
from whisperfleet.worker.job_pipeline import JobPipeline
from whisperfleet.worker.lease_process import Greeting
from whisperfleet.worker.lease_table import LeaseTable
from whisperfleet.worker.leases import LeaseKeeper
from whisperfleet.worker.loop import LoopLimits, WorkLoop
from whisperfleet.worker.machine import Machine, lack_behind
from whisperfleet.worker.needs import Need
from whisperfleet.worker.scratch import scratch_folder
from whisperfleet.worker.settings import WorkerSettings
from whisperfleet.worker.standing import Standing
from whisperfleet.worker.stopping import stop_on_signals

__all__ = ["run_worker"]

log = logging.getLogger(__name__)

# So long a busy machine may take for what is seen with each renewal, however often those come.
_LEAST_PATIENCE_SECONDS = 5.0


def run_worker(settings: WorkerSettings) -> int:
    """Work until SIGTERM or SIGINT and return the exit code; 0 after a drain.

    A worker whose engine is gone hands its jobs back and ends with the code of a device that
    cannot run the model.

    Call it on the main thread: it handles signals.
    """
    logs.configure(settings.process.log_level)
    keep_host_memory()
    stopped = stop_on_signals()
    try:
        _Worker(settings).run(stopped)
    except ConfigurationError as error:
        log.error("%s", error)
        return ExitCode.USAGE
    except (StartupError, EngineLostError) as error:
        log.error("%s", error)
        return error.exit_code
    return ExitCode.DONE


class _Worker:
    """The parts of one worker, and what they say of their health."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._client = settings.redis.connect()
        self._standing = Standing()
        self._loop: WorkLoop | None = None
        self._batcher: Batcher | None = None

    def run(self, stopped: threading.Event) -> None:
        with ExitStack() as parts:
            health = parts.enter_context(
                HealthServer(
                    self._settings.process.http_host,
                    self._settings.process.http_port,
                    {"/livez": self._live, "/readyz": self._ready},
                )
            )
            log.info("starting", extra={"version": __version__, "http_port": health.port})
            scratch = scratch_folder(self._settings.process.scratch)
            try:
                self._loop = self._assemble(parts, stopped, scratch)
            except WhisperfleetError:
                raise
            except Exception as error:
                if lack := lack_behind(error, scratch):
                    raise StartupError(f"the worker cannot start: {lack}") from error
                raise
            seconds = _seconds_since_start()
            metrics.startup_seconds.set(seconds)
            log.info("ready", extra={"model": self._settings.engine.model, "seconds": seconds})
            self._loop.run(stopped)
            log.info("drained")
            if gone := self._engine_gone():
                raise EngineLostError(gone)

    def _assemble(self, parts: ExitStack, stopped: threading.Event, scratch: Path) -> WorkLoop:
        """Start every part; `parts` ends them in reverse order."""
        settings = self._settings
        keys = Keys(settings.queue_id)
        # The first of all, for it keeps descriptors back.
        machine = parts.enter_context(
            Machine(scratch, self._standing, settings.queue_policy.beat_seconds)
        )
        # The children start while this process loads the model.
        slots = settings.load.max_in_flight or OWN_IN_FLIGHT
        decoders = parts.enter_context(DecoderPool(slots, settings.decode_limits))
        leases = parts.enter_context(LeaseKeeper(slots, self._greet, self._standing))
        engine, model = _load_engine(settings)
        self._batcher = parts.enter_context(
            Batcher(
                engine,
                settings.load.max_audio_seconds_in_flight,
                settings.queue.priorities,
                on_lost=partial(self._stop_at_once, stopped),
            )
        )
        queue = WorkQueue(
            self._client,
            keys,
            settings.consumer,
            settings.queue.priorities,
            settings.queue_policy,
            settings.queue.tenants,
        )
        decoders.wait_until_ready()
        for warning in queue.register():
            log.warning("%s", warning)
        self._standing.note(Need.CLAIM)
        leases.wait_until_ready()
        pipeline = JobPipeline(
            fetcher=Fetcher(settings.fetching),
            decoders=decoders,
            engine=self._batcher,
            segmentation=settings.segmentation,
            cache=TranscriptCache(
                self._client, keys, settings.queue.cache_seconds, _recipe(settings, engine, model)
            ),
            model=model,
            scratch=scratch,
        )
        in_flight = settings.load.max_in_flight or min(slots, BATCHES_IN_FLIGHT * engine.batch_size)
        log.info("sized", extra={"batch_size": engine.batch_size, "max_in_flight": in_flight})
        limits = LoopLimits(
            in_flight, settings.load.job_timeout_seconds, settings.load.drain_seconds
        )
        return WorkLoop(queue, pipeline, leases, limits, self._standing, machine)

    def _greet(self, table: LeaseTable) -> Greeting:
        settings = self._settings
        return Greeting(
            redis=_from_anywhere(settings.redis),
            queue_id=settings.queue_id,
            consumer=settings.consumer,
            policy=settings.queue_policy,
            priorities=settings.queue.priorities,
            tenants=settings.queue.tenants,
            stall_seconds=settings.load.stall_seconds,
            parent=os.getpid(),
            table=table.descriptor,
            slots=table.slots,
        )

    def _stop_at_once(self, stopped: threading.Event) -> None:
        """Claim no more, and keep nothing that others could do: the engine is gone."""
        stopped.set()
        if self._loop:
            self._loop.hand_back()

    def _engine_gone(self) -> str | None:
        lost = self._batcher.lost if self._batcher else None
        return f"the engine is gone, so this worker ends: {lost}" if lost else None

    def _live(self) -> str | None:
        """Say what does not move. A worker that still starts is alive."""
        if self._loop is None or self._batcher is None:
            return None
        if gone := self._engine_gone():
            return gone
        stall = self._settings.load.stall_seconds
        if (waited := self._loop.claiming_seconds) > stall:
            return f"the work loop has been in one call to Redis for {waited:.0f} s"
        began = self._batcher.run_started
        if began is not None and (busy := time.monotonic() - began) > stall:
            return f"the engine has been in one call for {busy:.0f} s"
        if (late := self._loop.overdue_seconds) > stall:
            return f"a job goes on though its time was up {late:.0f} s ago"
        return None

    def _ready(self) -> str | None:
        if self._loop is None:
            return "the model is being loaded"
        patience = max(_LEAST_PATIENCE_SECONDS, 2 * self._settings.queue_policy.beat_seconds)
        if problem := self._standing.problem(patience) or self._loop.obstacle:
            return problem
        if (waited := self._loop.claiming_seconds) > patience:
            return f"nothing can be claimed: Redis has given no answer for {waited:.0f} s"
        return self._live()


def _from_anywhere(settings: RedisSettings) -> RedisSettings:
    """Return the settings for a process that runs in another folder."""
    ca_file = settings.ca_file
    return replace(settings, ca_file=ca_file.absolute()) if ca_file else settings


def _load_engine(settings: WorkerSettings) -> tuple[WhisperEngine, ModelInfo]:
    resolved = resolve_model(settings.engine.model)
    engine = WhisperEngine.load(
        resolved,
        device=settings.engine.device,
        compute_type=settings.engine.compute_type,
        cpu_threads=settings.engine.cpu_threads,
        options=settings.decoding,
        batch_size=settings.engine.batch_size,
    )
    engine.warm_up()
    if engine.device == "cuda":
        metrics.watch_gpu_memory()
    model = ModelInfo(name=_told_name(resolved), digest=resolved.digest)
    metrics.model.info({"name": model.name, "digest": model.digest})
    return engine, model


def _told_name(model: ResolvedModel) -> str:
    """Return the name that producers are told: where a model lies is no affair of theirs."""
    from_folder = Path(model.name).expanduser() == model.path
    return model.path.resolve().name if from_folder else model.name


def _recipe(settings: WorkerSettings, engine: WhisperEngine, model: ModelInfo) -> str:
    """Return what words depend on beside the audio and the job, always in the same form."""
    return json.dumps(
        {
            "version": __version__,
            "model": model.digest,
            "compute_type": engine.compute_type,
            "decoding": asdict(settings.decoding),
            "segmentation": asdict(settings.segmentation),
        },
        sort_keys=True,
    )


def _seconds_since_start() -> float:
    """Return the age of this process, the start of the interpreter included."""
    try:
        # proc(5): field 22, in clock ticks after the boot; the name before may hold anything.
        stat = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        began = int(stat[19]) / os.sysconf("SC_CLK_TCK")
        return round(time.clock_gettime(time.CLOCK_BOOTTIME) - began, 3)
    except (OSError, AttributeError):
        return round(time.process_time(), 3)

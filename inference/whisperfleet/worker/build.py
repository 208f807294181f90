"""The composition root: the one place that names every part of a worker."""

import logging
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import redis

from whisperfleet.audio.decoder import DecoderPool
from whisperfleet.audio.fetch import Fetcher
from whisperfleet.contract.keys import Keys
from whisperfleet.engine import Engine
from whisperfleet.queue import RedisSettings, WorkQueue
from whisperfleet.settings import BATCHES_IN_FLIGHT, OWN_IN_FLIGHT, EngineSettings
from whisperfleet.worker.batcher import Batcher
from whisperfleet.worker.cache import TranscriptCache
from whisperfleet.worker.job_pipeline import JobPipeline
from whisperfleet.worker.lease_process import Greeting
from whisperfleet.worker.lease_table import LeaseTable
from whisperfleet.worker.leases import LeaseKeeper
from whisperfleet.worker.loading import load_engine
from whisperfleet.worker.loop import WAIT_SECONDS, LoopLimits, WorkLoop
from whisperfleet.worker.machine import Machine
from whisperfleet.worker.needs import Need
from whisperfleet.worker.parts import Clock, EngineFactory, PipelineFactory
from whisperfleet.worker.scratch import scratch_folder
from whisperfleet.worker.settings import WorkerSettings
from whisperfleet.worker.standing import Standing
from whisperfleet.worker.worker import Running, Worker

__all__ = ["build_worker"]

log = logging.getLogger(__name__)


def build_worker(
    settings: WorkerSettings,
    *,
    engine: EngineFactory = load_engine,
    pipeline: PipelineFactory = JobPipeline,
    clock: Clock = time.monotonic,
    wait_seconds: float = WAIT_SECONDS,
) -> Worker:
    """Return a worker that is not yet started: `Worker.run` loads its engine and begins.

    `engine` loads the engine, `pipeline` makes what carries jobs out, `clock` tells how long calls
    take. A wait for work ends after `wait_seconds`, to look whether to stop.
    """
    client = settings.redis.connect()
    standing = Standing(clock)
    scratch = scratch_folder(settings.process.scratch)
    build = _Build(settings, client, engine, pipeline, clock, wait_seconds, standing, scratch)
    return Worker(settings, build.assemble, standing, scratch, clock)


@dataclass(frozen=True, slots=True)
class _Build:
    settings: WorkerSettings
    client: redis.Redis
    engine: EngineFactory
    pipeline: PipelineFactory
    clock: Clock
    wait_seconds: float
    standing: Standing
    scratch: Path

    def assemble(self, parts: ExitStack, on_lost: Callable[[], None]) -> Running:
        """See `Assemble`."""
        settings = self.settings
        # The first of all, for it keeps descriptors back.
        machine = parts.enter_context(
            Machine(self.scratch, self.standing, settings.queue_policy.beat_seconds)
        )
        # The children start while this process loads the model.
        slots = settings.load.max_in_flight or OWN_IN_FLIGHT
        decoders = parts.enter_context(DecoderPool(slots, settings.decode_limits))
        leases = parts.enter_context(LeaseKeeper(slots, self._greet, self.standing))
        loaded = self.engine(settings)
        batcher = Batcher(
            loaded.engine,
            settings.load.max_audio_seconds_in_flight,
            settings.queue.priorities,
            on_lost=on_lost,
            clock=self.clock,
        )
        # Parts end in reverse order: first nobody runs the engine any more.
        parts.callback(_close, loaded.engine, batcher)
        parts.enter_context(batcher)
        keys = Keys(settings.queue_id)
        queue = WorkQueue(
            self.client,
            keys,
            settings.consumer,
            settings.queue.priorities,
            settings.queue_policy,
            settings.queue.tenants,
        )
        decoders.wait_until_ready()
        for warning in queue.register():
            log.warning("%s", warning)
        self.standing.note(Need.CLAIM)
        leases.wait_until_ready()
        pipeline = self.pipeline(
            fetcher=Fetcher(settings.fetching),
            decoders=decoders,
            engine=batcher,
            segmentation=settings.segmentation,
            cache=TranscriptCache(self.client, keys, settings.queue.cache_seconds, loaded.recipe),
            model=loaded.engine.model,
            able=loaded.engine.capabilities,
            scratch=self.scratch,
        )
        batch_size = loaded.engine.batch_size
        in_flight = settings.load.max_in_flight or min(slots, BATCHES_IN_FLIGHT * batch_size)
        log.info("sized", extra={"batch_size": batch_size, "max_in_flight": in_flight})
        _tell_what_it_can(settings.engine, loaded.engine)
        limits = LoopLimits(
            in_flight,
            settings.load.job_timeout_seconds,
            settings.load.drain_seconds,
            self.wait_seconds,
        )
        loop = WorkLoop(queue, pipeline, leases, limits, self.standing, machine, clock=self.clock)
        return Running(batcher, loop)

    def _greet(self, table: LeaseTable) -> Greeting:
        settings = self.settings
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


def _close(engine: Engine[Any], batcher: Batcher) -> None:
    """Have the engine let go of its device, unless that is lost or a call does not return."""
    if batcher.lost or batcher.is_running:
        return
    try:
        engine.close()
    except Exception:
        # All jobs are ended or handed back, and the process ends next.
        log.exception("the engine could not let go of its model and device")


def _tell_what_it_can(settings: EngineSettings, engine: Engine[Any]) -> None:
    able = engine.capabilities
    log.info(
        "engine loaded",
        extra={
            "engine": settings.engine,
            "languages": sorted(able.languages),
            "words": able.words,
            "translate": able.translate,
        },
    )
    if engine.batch_size < settings.batch_size:
        log.warning(
            "the engine takes %d windows together and not the %d of the setting batch_size; lower "
            "it, or take a device with more memory",
            engine.batch_size,
            settings.batch_size,
        )


def _from_anywhere(settings: RedisSettings) -> RedisSettings:
    """Return the settings for a process that runs in another folder."""
    ca_file = settings.ca_file
    return replace(settings, ca_file=ca_file.absolute()) if ca_file else settings

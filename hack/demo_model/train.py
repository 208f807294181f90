"""Trains the model on two CPU cores, stage by stage, within a fixed time."""

import logging
import multiprocessing
import multiprocessing.queues
import time
from collections import deque
from collections.abc import Callable
from itertools import count, cycle
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
import optax  # type: ignore[import-untyped]
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from hack.demo_model import checkpoint, losses, synthesise
from hack.demo_model.batch import Batch
from hack.demo_model.compose import Composer
from hack.demo_model.losses import Metrics
from hack.demo_model.model import Array, Initialiser, Params
from hack.demo_model.schedule import LONGEST_MINUTES, STAGES, Stage

logger = logging.getLogger(__name__)

# A batch split over two devices keeps two cores busier than one device with two threads.
_DEVICES: Final = 2
_WARM_UP_STEPS: Final = 150
_AVERAGE_DECAY: Final = 0.998
_WEIGHT_DECAY: Final = 0.01
_QUEUED_BATCHES: Final = 8
_REPORT_SECONDS: Final = 20
_CHECKPOINT_SECONDS: Final = 240


class State(NamedTuple):
    """All that a step changes."""

    params: Params
    average: Params
    """Exponential mean of the parameters: far better than the parameters themselves."""
    optimiser: Any
    steps: Array


class Training:
    """A training run: the model's state, and the process that composes its batches."""

    def __init__(self, work: Path, seed: int, initial: Path | None) -> None:
        self._work = work
        self._seed = seed
        mesh = Mesh(np.array(jax.devices()), ("batch",))
        self._split = NamedSharding(mesh, PartitionSpec("batch"))  # type: ignore[no-untyped-call]
        self._whole = NamedSharding(mesh, PartitionSpec())  # type: ignore[no-untyped-call]
        self._optimiser = make_optimiser()
        params = checkpoint.load(initial) if initial else Initialiser(seed).model()
        params = jax.tree.map(jnp.asarray, params)
        average = jax.tree.map(jnp.copy, params)
        state = State(params, average, self._optimiser.init(params), jnp.zeros((), jnp.int32))
        self._state: State = jax.device_put(state, self._whole)
        self._step = self._compile()
        self._started = time.monotonic()

    def run(self, stages: tuple[Stage, ...]) -> None:
        """Train through the stages; each leaves ``<stage>.npz`` in the work folder."""
        for stage in stages:
            seed = self._seed + 1 + STAGES.index(stage)
            with _Batches(self._work / "bank", seed, stage) as batches:
                self._run_stage(stage, batches)
            checkpoint.save(self._work / f"{stage.name}.npz", self._state.average)
        checkpoint.save(self._work / "model.npz", self._state.average)

    def _run_stage(self, stage: Stage, batches: "_Batches") -> None:
        deadline = self._started + LONGEST_MINUTES * 60
        started = reported = saved = time.monotonic()
        recent: deque[Metrics] = deque(maxlen=25)
        for step in count(1):
            now = time.monotonic()
            progress = (now - started) / (stage.minutes * 60)
            if progress >= 1 or now >= deadline:
                break
            first, last = stage.learning_rates
            rate = first + (last - first) * progress
            batch = jax.device_put(batches.next(), self._split)
            weights = np.float32(stage.frame_weight), np.float32(stage.attention_weight)
            self._state, metrics = self._step(self._state, batch, np.float32(rate), *weights)
            recent.append(jax.device_get(metrics))
            if now - reported > _REPORT_SECONDS:
                reported = now
                self._report(stage, step, batches.waited, recent)
            if now - saved > _CHECKPOINT_SECONDS:
                saved = now
                checkpoint.save(self._work / "latest.npz", self._state.average)
        logger.info("stage %s ended after %d steps", stage.name, step)

    def _report(self, stage: Stage, step: int, waited: float, recent: deque[Metrics]) -> None:
        means = Metrics(*np.mean(recent, axis=0))
        logger.info(
            "%-8s %5.0f s  step %5d  waited %4.1f s  loss: text %.3f frame %.3f attention %.3f"
            "  right: words %.3f timestamps %.3f frames %.3f",
            stage.name,
            time.monotonic() - self._started,
            step,
            waited,
            *means,
        )
        if not np.isfinite(means.transcript_loss):
            raise FloatingPointError("training: the loss is not finite")

    def _compile(self) -> Callable[..., tuple[State, Metrics]]:
        def step(
            state: State,
            batch: Batch,
            rate: Array,
            frame_weight: Array,
            attention_weight: Array,
        ) -> tuple[State, Metrics]:
            gradient = jax.grad(losses.loss, has_aux=True)
            slopes, metrics = gradient(state.params, batch, frame_weight, attention_weight)
            updates, optimiser = self._optimiser.update(slopes, state.optimiser, state.params)
            warm_rate = rate * jnp.minimum(1, (state.steps + 1) / _WARM_UP_STEPS)
            params = jax.tree.map(lambda p, u: p + warm_rate * u, state.params, updates)
            # A young average forgets its beginning sooner.
            decay = jnp.minimum(_AVERAGE_DECAY, state.steps / (state.steps + 10))
            average = jax.tree.map(lambda a, p: a * decay + p * (1 - decay), state.average, params)
            return State(params, average, optimiser, state.steps + 1), metrics

        whole = self._whole
        return jax.jit(
            step,
            in_shardings=(whole, self._split, whole, whole, whole),
            out_shardings=(whole, whole),
            donate_argnums=0,
        )


def make_optimiser() -> optax.GradientTransformation:
    """Return Muon for the layers' matrices and AdamW for the rest, at a learning rate of 1."""
    muon = optax.contrib.muon(
        learning_rate=1.0,
        weight_decay=_WEIGHT_DECAY,
        adam_b2=0.98,
        adam_weight_decay=_WEIGHT_DECAY,
        # Makes updates as large as AdamW's, so that both take one learning rate.
        consistent_rms=0.2,
        muon_weight_dimension_numbers=_orthogonalised,
    )
    return optax.chain(optax.clip_by_global_norm(1.0), muon)


def _orthogonalised(params: Params) -> Any:
    """Return a tree that marks the matrices inside the layers and the convolutions."""

    def mark(keys: Any, leaf: Array) -> optax.contrib.MuonDimensionNumbers | None:
        inside = keys[0].key in {"encoder", "decoder", "conv1", "conv2"}
        return optax.contrib.MuonDimensionNumbers() if inside and leaf.ndim == 2 else None

    return jax.tree_util.tree_map_with_path(mark, params)


class _Batches:
    """Batches from a process of their own, so that composing never holds up a step."""

    def __init__(self, bank: Path, seed: int, stage: Stage) -> None:
        # Spawned, not forked: JAX has threads.
        context = multiprocessing.get_context("spawn")
        self._queue: multiprocessing.queues.Queue[Batch] = context.Queue(_QUEUED_BATCHES)
        self._process = context.Process(
            target=_compose, args=(bank, seed, stage, self._queue), daemon=True
        )
        self.waited = 0.0

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join()

    def next(self) -> Batch:
        """Return the next batch, counting the seconds waited for it."""
        started = time.monotonic()
        batch = self._queue.get()
        self.waited += time.monotonic() - started
        return batch


def _compose(
    bank: Path, seed: int, stage: Stage, queue: "multiprocessing.queues.Queue[Batch]"
) -> None:
    composer = Composer(synthesise.load(bank), seed)
    for window in cycle(stage.windows):
        queue.put(composer.batch(window))


def train(work: Path, seed: int, *, after: str | None = None) -> None:
    """Train a new model on the bank below ``work``, or go on after a stage that has ended."""
    jax.config.update("jax_num_cpu_devices", _DEVICES)  # type: ignore[no-untyped-call]
    initial, stages = None, STAGES
    if after is not None:
        initial = work / f"{after}.npz"
        names = [stage.name for stage in STAGES]
        stages = STAGES[names.index(after) + 1 :]
    Training(work, seed, initial).run(stages)

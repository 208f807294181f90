"""One job, from its entry to its result, as plain sequential code on a thread of its own."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from whisperfleet import __version__, formats
from whisperfleet.audio.decoder import DecoderPool
from whisperfleet.audio.fetch import Fetcher
from whisperfleet.contract.codes import Code
from whisperfleet.contract.job import Format, Job, Task
from whisperfleet.contract.result import Failure, ModelInfo, Result, Timing, Transcript
from whisperfleet.contract.states import State
from whisperfleet.errors import InputError
from whisperfleet.queue import Claim
from whisperfleet.segmentation import SegmentationOptions
from whisperfleet.worker import metrics
from whisperfleet.worker.batcher import Batcher
from whisperfleet.worker.cache import TranscriptCache
from whisperfleet.worker.channels import Heard
from whisperfleet.worker.control import Interrupted, JobControl, Stop, Stopwatch
from whisperfleet.worker.machine import on_this_machine
from whisperfleet.worker.preprocess_limiter import PreprocessLimiter
from whisperfleet.worker.recognition import Recogniser
from whisperfleet.worker.scratch import scratch_file

__all__ = ["JobPipeline"]

_STAGES = ("fetch", "decode", "engine")


@dataclass(frozen=True, slots=True)
class JobPipeline:
    """What carries jobs out; shared by all that are in flight. `scratch` holds fetched files."""

    fetcher: Fetcher
    decoders: DecoderPool
    engine: Batcher
    segmentation: SegmentationOptions
    cache: TranscriptCache
    model: ModelInfo
    scratch: Path
    limiter: PreprocessLimiter = field(default_factory=PreprocessLimiter)

    def run(self, claim: Claim, control: JobControl) -> Result:
        """Carry a claim out, up to a result that can be published.

        Raises MalformedEntryError for what is no job, TransientError for what may go better another
        time, MachineError for what may go better on another machine, and Interrupted when the job
        is to stop without a result.
        """
        stopwatch = Stopwatch()
        job: Job | None = None
        heard: Heard | None = None
        error: Failure | None = None
        state = State.DONE
        try:
            job = Job.from_fields(claim.fields)
            if overdue := _overdue(job, claim):
                state, error = State.EXPIRED, overdue
            else:
                with on_this_machine(self.scratch):
                    heard = self._hear(job, claim.priority, control, stopwatch)
        except InputError as fault:
            state, error = State.FAILED, Failure(code=fault.code, message=fault.message)
        except Interrupted as interrupted:
            state, error = _ending(interrupted, control)
        return self._result(claim, job, state, heard, error, stopwatch)

    def _hear(self, job: Job, priority: str, control: JobControl, stopwatch: Stopwatch) -> Heard:
        with self._audio_file(job, control, stopwatch) as audio:
            key = self.cache.key(audio, job)
            if kept := self.cache.get(key):
                return kept
            recogniser = Recogniser(self.decoders, self.engine, self.segmentation, self.limiter)
            heard = recogniser.recognise(audio, job, priority, control, stopwatch)
            self.cache.put(key, heard)
            return heard

    @contextmanager
    def _audio_file(
        self, job: Job, control: JobControl, stopwatch: Stopwatch
    ) -> Iterator[io.FileIO]:
        control.check()
        with scratch_file(self.scratch, control) as file:
            with stopwatch.stage("fetch"):
                if job.audio is not None:
                    file.write(job.audio)
                elif job.url is not None:
                    self.fetcher.fetch(job.url, file, deadline=control.ends)
            yield file

    def _result(
        self,
        claim: Claim,
        job: Job | None,
        state: State,
        heard: Heard | None,
        error: Failure | None,
        stopwatch: Stopwatch,
    ) -> Result:
        for stage in _STAGES:
            metrics.stage_seconds.labels(stage).observe(stopwatch.seconds[stage])
        queued = max(0.0, claim.claimed_at - claim.enqueued_at)
        metrics.job_wait_seconds.observe(queued)
        metrics.job_seconds.observe(stopwatch.total)
        return Result(
            id=claim.job_id,
            state=state,
            transcript=heard.transcript if heard else None,
            warnings=heard.warnings if heard else (),
            error=error,
            timing=Timing(
                queued=round(queued, 3),
                total=round(stopwatch.total, 4),
                **{stage: round(stopwatch.seconds[stage], 4) for stage in _STAGES},
            ),
            model=self.model,
            worker_version=__version__,
            task=job.task if job else Task.TRANSCRIBE,
            metadata=job.metadata if job else {},
            renderings=_render(job, heard.transcript) if job and heard else {},
        )


def _render(job: Job, transcript: Transcript) -> dict[Format | str, str]:
    return {
        wanted: formats.render(transcript, job.task, wanted, word_timestamps=job.word_timestamps)
        for wanted in job.formats
    }


def _overdue(job: Job, claim: Claim) -> Failure | None:
    # The latest attempt counts: whoever set the deadline has no use for words after it, and an
    # earlier attempt may have ended before it could tell that it was too late.
    if job.deadline is None:
        return None
    # Both moments are of the server's clock or the producer's word: workers' clocks decide nothing.
    if job.deadline.timestamp() > claim.claimed_at:
        return None
    late = timedelta(seconds=round(claim.claimed_at - job.deadline.timestamp()))
    return Failure(
        code=Code.DEADLINE_PASSED,
        message=f"its deadline had passed {late} before this attempt, number {claim.epoch}, began; "
        "send it again with a later one, or give the fleet more replicas",
    )


def _ending(interrupted: Interrupted, control: JobControl) -> tuple[State, Failure]:
    """Return the state and the error of a job that was stopped for good; raise again for others."""
    match interrupted.stop:
        case Stop.CANCELLED:
            return State.CANCELLED, Failure(code=Code.CANCELLED, message="it was cancelled")
        case Stop.TIMEOUT:
            return State.FAILED, Failure(
                code=Code.JOB_TIMEOUT,
                message=f"it took more than {control.timeout_seconds:g} s; cut the audio, or "
                "raise the worker's job timeout",
            )
        case _:
            raise interrupted

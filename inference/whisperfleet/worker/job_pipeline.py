"""One job, from its entry to its result, as plain sequential code on a thread of its own."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from whisperfleet import __version__, formats
from whisperfleet.audio.decoder import DecoderPool
from whisperfleet.audio.fetch import Fetcher
from whisperfleet.contract.job import Format, Job, Task
from whisperfleet.contract.result import Failure, ModelInfo, Result, Timing, Transcript
from whisperfleet.contract.states import State
from whisperfleet.errors import InputError
from whisperfleet.queue import Claim
from whisperfleet.queue.outcomes import overdue, stopped_for_good
from whisperfleet.segmentation import SegmentationOptions
from whisperfleet.worker import metrics
from whisperfleet.worker.batcher import Batcher
from whisperfleet.worker.cache import TranscriptCache
from whisperfleet.worker.channels import Heard
from whisperfleet.worker.control import Interrupted, JobControl, Stopwatch
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
            if too_late := overdue(job, claim):
                state, error = State.EXPIRED, too_late
            else:
                with on_this_machine(self.scratch):
                    heard = self._hear(job, claim.priority, control, stopwatch)
        except InputError as fault:
            state, error = State.FAILED, Failure(code=fault.code, message=fault.message)
        except Interrupted as interrupted:
            ending = stopped_for_good(interrupted.stop, control.timeout_seconds)
            if ending is None:
                raise
            state, error = ending
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

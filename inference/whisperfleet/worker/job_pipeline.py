"""One job, from its entry to its result, as plain sequential code on a thread of its own."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from whisperfleet.audio.decoder import DecoderPool
from whisperfleet.audio.fetch import Fetcher
from whisperfleet.contract.job import Job
from whisperfleet.contract.result import Failure, ModelInfo, Result
from whisperfleet.contract.states import State
from whisperfleet.engine import Capabilities
from whisperfleet.errors import InputError
from whisperfleet.queue import Claim
from whisperfleet.queue.outcomes import overdue, stopped_for_good
from whisperfleet.segmentation import SegmentationOptions
from whisperfleet.worker.batcher import Batcher
from whisperfleet.worker.cache import TranscriptCache
from whisperfleet.worker.channels import Heard
from whisperfleet.worker.control import Interrupted, JobControl
from whisperfleet.worker.machine import on_this_machine
from whisperfleet.worker.metering import lost_if_raised
from whisperfleet.worker.preprocess_limiter import PreprocessLimiter
from whisperfleet.worker.recognition import Recogniser
from whisperfleet.worker.refusing import refuse_unable
from whisperfleet.worker.reporting import report
from whisperfleet.worker.scratch import scratch_file
from whisperfleet.worker.stopwatch import Stopwatch

__all__ = ["JobPipeline"]


@dataclass(frozen=True, slots=True)
class JobPipeline:
    """What carries jobs out; shared by all that are in flight.

    `model` and `able` are the engine's. `scratch` holds fetched files.
    """

    fetcher: Fetcher
    decoders: DecoderPool
    engine: Batcher
    segmentation: SegmentationOptions
    cache: TranscriptCache
    model: ModelInfo
    able: Capabilities
    scratch: Path
    limiter: PreprocessLimiter = field(default_factory=PreprocessLimiter)

    def run(self, claim: Claim, control: JobControl) -> Result:
        """Carry a claim out, up to a result that can be published.

        Raises MalformedEntryError for what is no job, TransientError for what may go better another
        time, MachineError for what may go better on another machine, and Interrupted when the job
        is to stop without a result.
        """
        stopwatch = Stopwatch()
        with lost_if_raised(stopwatch.meter):
            return self._carry_out(claim, control, stopwatch)

    def _carry_out(self, claim: Claim, control: JobControl, stopwatch: Stopwatch) -> Result:
        job: Job | None = None
        heard: Heard | None = None
        cached = False
        error: Failure | None = None
        state = State.DONE
        try:
            job = Job.from_fields(claim.fields)
            if too_late := overdue(job, claim):
                state, error = State.EXPIRED, too_late
            else:
                refuse_unable(self.able, job)
                with on_this_machine(self.scratch):
                    heard, cached = self._hear(job, claim.priority, control, stopwatch)
        except InputError as fault:
            state, error = State.FAILED, Failure(code=fault.code, message=fault.message)
        except Interrupted as interrupted:
            ending = stopped_for_good(interrupted.stop, control.timeout_seconds)
            if ending is None:
                raise
            state, error = ending
        return report(claim, job, (state, error), heard, stopwatch, self.model, cached=cached)

    def _hear(
        self, job: Job, priority: str, control: JobControl, stopwatch: Stopwatch
    ) -> tuple[Heard, bool]:
        """Return what a job hears, and whether it was kept from before."""
        with self._audio_file(job, control, stopwatch) as audio:
            key = self.cache.key(audio, job)
            if kept := self.cache.get(key):
                return kept, True
            recogniser = Recogniser(self.decoders, self.engine, self.segmentation, self.limiter)
            heard = recogniser.recognise(audio, job, priority, control, stopwatch)
            self.cache.put(key, heard)
            return heard, False

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

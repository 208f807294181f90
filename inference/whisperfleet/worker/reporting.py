"""What is told of an attempt that came to an end: its result, with where time went and its cost."""

from whisperfleet import __version__, formats
from whisperfleet.contract.job import Format, Job, Task
from whisperfleet.contract.result import Failure, ModelInfo, Result, Timing, Transcript
from whisperfleet.contract.states import State
from whisperfleet.contract.usage import Usage
from whisperfleet.queue import Claim
from whisperfleet.worker import metrics
from whisperfleet.worker.channels import Heard
from whisperfleet.worker.stopwatch import Stopwatch

__all__ = ["report"]

_STAGES = ("fetch", "decode", "engine")


def report(
    claim: Claim,
    job: Job | None,
    ended: tuple[State, Failure | None],
    heard: Heard | None,
    stopwatch: Stopwatch,
    model: ModelInfo,
    *,
    cached: bool,
) -> Result:
    """Return the result of an attempt, and observe its times."""
    state, error = ended
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
            **{stage: round(stopwatch.seconds[stage], 4) for stage in (*_STAGES, "waiting")},
        ),
        usage=Usage(
            audio_seconds=heard.transcript.duration if heard else 0.0,
            speech_seconds=heard.transcript.duration_after_vad if heard else 0.0,
            windows=stopwatch.meter.windows,
            device_seconds=round(stopwatch.meter.device_seconds, 6),
            cached=cached,
        ),
        model=model,
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

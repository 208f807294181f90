"""The answer to a job: what `result:<id>` holds as JSON."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from whisperfleet.contract.codes import Code
from whisperfleet.contract.job import PROTOCOL_VERSION, Format, Task
from whisperfleet.contract.states import State
from whisperfleet.contract.warnings import ResultWarning

__all__ = ["Failure", "ModelInfo", "Result", "Segment", "Timing", "Transcript", "Word"]

Seconds = Annotated[float, Field(ge=0)]


class _Value(BaseModel):
    # A newer minor version may add fields; an older reader ignores them.
    model_config = ConfigDict(frozen=True, extra="ignore")


class Word(_Value):
    """A word and when it was said, in seconds from the beginning of the audio."""

    start: Seconds
    end: Seconds
    text: str
    probability: float


class Segment(_Value):
    """A run of words between two pauses."""

    start: Seconds
    end: Seconds
    text: str
    words: tuple[Word, ...] | None = None
    channel: Annotated[
        str | None,
        Field(description="`left`, `right`, or a number from 3 on; after `split` only."),
    ] = None
    avg_logprob: Annotated[float, Field(description="Mean log probability of the tokens.")]
    no_speech_prob: Annotated[float, Field(description="How likely the window has no speech.")]
    compression_ratio: Annotated[float, Field(description="Text over zlib length: repetition.")]
    temperature: Annotated[float, Field(description="Sampling temperature; 0 is beam search.")]


class Transcript(_Value):
    """The words of one audio."""

    text: str
    language: str
    language_probability: float
    duration: Annotated[Seconds, Field(description="Length of the decoded audio in seconds.")]
    duration_after_vad: Annotated[Seconds, Field(description="Seconds of it taken for speech.")]
    segments: tuple[Segment, ...] = ()


class Timing(_Value):
    """Where the time went, in seconds of wall clock. Stages overlap, so they do not add up."""

    queued: Seconds = 0.0
    fetch: Seconds = 0.0
    decode: Seconds = 0.0
    engine: Seconds = 0.0
    total: Annotated[Seconds, Field(description="From the claim to the finish.")] = 0.0


class ModelInfo(_Value):
    """What recognised the words."""

    name: str
    digest: Annotated[str, Field(description="sha256 over the model's files.")]


class Failure(_Value):
    """Why there are no words, and what to do about it."""

    code: Code
    message: str
    cause: Annotated[
        Code | None, Field(description="Why the last retry failed, where `retries_exhausted`.")
    ] = None


class Result(_Value):
    """How a job ended. `done` has a transcript; every other state has an error."""

    v: str = PROTOCOL_VERSION
    id: str
    state: State
    task: Task = Task.TRANSCRIBE
    transcript: Transcript | None = None
    warnings: Annotated[
        tuple[ResultWarning, ...],
        Field(description="What was left out or guessed, in the order in which it was noticed."),
    ] = ()
    renderings: Annotated[
        dict[Format, str],
        Field(description="The transcript in the formats that the job asked for."),
    ] = {}
    error: Failure | None = None
    timing: Timing = Timing()
    model: ModelInfo | None = None
    worker_version: str = ""
    epoch: Annotated[
        int, Field(ge=0, description="Which attempt gave this result; the first is 1.")
    ] = 0
    finished_at: datetime | None = None
    metadata: dict[str, Any] = {}
    tenant: str | None = None

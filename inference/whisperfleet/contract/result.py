"""The answer to a job: what `result:<id>` holds as JSON."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from whisperfleet.contract.codes import Code
from whisperfleet.contract.job import PROTOCOL_VERSION, Format, Task
from whisperfleet.contract.states import AnyState
from whisperfleet.contract.usage import Usage
from whisperfleet.contract.warnings import ResultWarning

__all__ = [
    "AnyCode",
    "Failure",
    "ModelInfo",
    "Result",
    "Segment",
    "Timing",
    "Transcript",
    "Word",
    "read_result",
]

# As it is read: a newer minor version may have more of them, which stay text. It is not beside the
# codes because the decoder's processes know those, and not pydantic, which takes long to import.
AnyCode = Annotated[Code | str, Field(union_mode="left_to_right")]

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
    engine: Annotated[
        Seconds, Field(description="Waiting for the engine: in line, and while it computes.")
    ] = 0.0
    waiting: Annotated[
        Seconds, Field(description="Of `engine`: while none of the job's windows was computed.")
    ] = 0.0
    total: Annotated[Seconds, Field(description="From the claim to the finish.")] = 0.0


class ModelInfo(_Value):
    """What recognised the words."""

    name: str
    digest: Annotated[str, Field(description="sha256 over the model's files.")]


class Failure(_Value):
    """Why there are no words, and what to do about it."""

    code: AnyCode
    message: str
    cause: Annotated[
        AnyCode | None, Field(description="Why the last retry failed, where `retries_exhausted`.")
    ] = None


class Result(_Value):
    """How a job ended. `done` has a transcript; every other state has an error."""

    v: str = PROTOCOL_VERSION
    id: str
    state: AnyState
    task: Annotated[Task | str, Field(union_mode="left_to_right")] = Task.TRANSCRIBE
    transcript: Transcript | None = None
    warnings: Annotated[
        tuple[ResultWarning, ...],
        Field(description="What was left out or guessed, in the order in which it was noticed."),
    ] = ()
    renderings: Annotated[
        dict[Annotated[Format | str, Field(union_mode="left_to_right")], str],
        Field(description="The transcript in the formats that the job asked for."),
    ] = {}
    error: Failure | None = None
    timing: Timing = Timing()
    usage: Annotated[
        Usage | None, Field(description="What the job cost; absent from workers before 0.2.")
    ] = None
    model: ModelInfo | None = None
    worker_version: str = ""
    epoch: Annotated[
        int, Field(ge=0, description="Which attempt gave this result; the first is 1.")
    ] = 0
    finished_at: Annotated[datetime | str | None, Field(union_mode="left_to_right")] = None
    metadata: dict[str, Any] = {}
    tenant: str | None = None


def read_result(job_id: str, document: bytes) -> Result:
    """Read what `result:<id>` holds; what cannot be read at all becomes a failure that says so."""
    try:
        return Result.model_validate_json(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        message = (
            f"its result cannot be read{f' at `{where}`' if where else ''} ({first['msg']}); read "
            "it with the version that its worker has, or send the job again"
        )
        failure = Failure(code="unreadable_result", message=message)
        return Result(id=job_id, state="unreadable", error=failure)

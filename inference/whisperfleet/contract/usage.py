"""What a job cost: a value that goes with its result and its done event, and its part in sums."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["FIGURES", "Usage"]

Seconds = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]

# The sums of a queue, each a whole number: jobs that ended, milliseconds, windows, attempts, and
# jobs that the cache answered.
FIGURES = (
    *("jobs", "audio_ms", "speech_ms", "windows"),
    *("device_ms", "queue_ms", "attempts", "cached"),
)


class Usage(BaseModel):
    """What one job used, up to the attempt that ended it."""

    # A newer minor version may add fields; an older reader ignores them.
    model_config = ConfigDict(frozen=True, extra="ignore")

    audio_seconds: Annotated[Seconds, Field(description="Length of the decoded audio.")] = 0.0
    speech_seconds: Annotated[
        Seconds, Field(description="Seconds of it taken for speech, of all channels together.")
    ] = 0.0
    windows: Annotated[Count, Field(description="How many the engine recognised.")] = 0
    device_seconds: Annotated[
        Seconds, Field(description="The job's shares of the batches that it was in.")
    ] = 0.0
    queue_seconds: Annotated[
        Seconds, Field(description="From its entry to the claim of the attempt that ended it.")
    ] = 0.0
    attempts: Annotated[Count, Field(description="How often the job was begun.")] = 0
    cached: Annotated[bool, Field(description="Whether the words come from the cache.")] = False

    def sums(self) -> str:
        """Return what is added to the queue's sums: `<figure> <amount>` in turn, but for noughts.

        One text, because a script's argument costs more than to read a number out of one.
        """
        amounts = (
            ("audio_ms", round(self.audio_seconds * 1000)),
            ("speech_ms", round(self.speech_seconds * 1000)),
            ("windows", self.windows),
            ("device_ms", round(self.device_seconds * 1000)),
            ("queue_ms", round(self.queue_seconds * 1000)),
            ("attempts", self.attempts),
            ("cached", int(self.cached)),
        )
        return " ".join([f"{figure} {amount}" for figure, amount in amounts if amount])

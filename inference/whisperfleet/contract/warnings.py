"""What a transcript lacks or guesses although its job is done: one code for each kind."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["ResultWarning", "WarningCode"]


class WarningCode(StrEnum):
    """The `code` of a warning; a value never changes its meaning."""

    # The file
    CUT_SHORT = "cut_short"
    PACKETS_DROPPED = "packets_dropped"
    GAP_IN_TIME = "gap_in_time"
    CLOCK_BREAK = "clock_break"

    # Tracks and channels
    TRACK_LEFT_OUT = "track_left_out"
    TRACK_SILENT = "track_silent"
    CHANNEL_MISSING = "channel_missing"
    CHANNELS_CANCEL = "channels_cancel"

    # The words
    LANGUAGE_UNCERTAIN = "language_uncertain"
    WORDS_UNCERTAIN = "words_uncertain"
    WORDS_LEFT_OUT = "words_left_out"


class ResultWarning(BaseModel):
    """Something that was left out or guessed, and what to do about it."""

    # A newer minor version may add codes and fields; an older reader takes both.
    model_config = ConfigDict(frozen=True, extra="ignore")

    code: Annotated[WarningCode | str, Field(description="For programs; more may be added.")]
    message: Annotated[str, Field(description="For people.")]

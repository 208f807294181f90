"""Why a job did not give words: one code for each reason that a producer can act on."""

from enum import StrEnum

__all__ = ["Code"]


class Code(StrEnum):
    """The `error.code` of a result; a value never changes its meaning."""

    # The message
    INVALID_JOB = "invalid_job"
    UNKNOWN_LANGUAGE = "unknown_language"
    UNKNOWN_MODEL = "unknown_model"
    CONFLICTING_ID = "conflicting_id"

    # Where the audio is
    SCHEME_REFUSED = "scheme_refused"
    HOST_REFUSED = "host_refused"
    ADDRESS_REFUSED = "address_refused"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    NOT_FOUND = "not_found"
    FETCH_REFUSED = "fetch_refused"
    FETCH_FAILED = "fetch_failed"
    FETCH_TIMEOUT = "fetch_timeout"

    # The audio itself
    EMPTY = "empty"
    TOO_LARGE = "too_large"
    TOO_LONG = "too_long"
    NOT_AUDIO = "not_audio"
    TOO_MANY_CHANNELS = "too_many_channels"
    DECODER_CRASHED = "decoder_crashed"
    DECODER_TIMEOUT = "decoder_timeout"

    # The engine and the worker
    OUT_OF_MEMORY = "out_of_memory"
    ENGINE_FAILED = "engine_failed"
    JOB_TIMEOUT = "job_timeout"
    INTERNAL = "internal"

    # The queue's own verdicts
    DEADLINE_PASSED = "deadline_passed"
    CANCELLED = "cancelled"
    DELIVERIES_EXHAUSTED = "deliveries_exhausted"
    RELEASES_EXHAUSTED = "releases_exhausted"
    RETRIES_EXHAUSTED = "retries_exhausted"
    MALFORMED_ENTRY = "malformed_entry"
    UNSUPPORTED_VERSION = "unsupported_version"
    ENTRY_LOST = "entry_lost"

"""How large a job may be. Apart from its model, for whoever needs a number and no pydantic."""

__all__ = ["MAX_ENTRY_BYTES", "MAX_INLINE_AUDIO_BYTES"]

MAX_INLINE_AUDIO_BYTES = 1024 * 1024
# All of an entry, names and values: the audio and more than its other fields may have together.
MAX_ENTRY_BYTES = MAX_INLINE_AUDIO_BYTES + 64 * 1024

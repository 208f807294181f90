"""What the composing process hands to the training process."""

from typing import Any, NamedTuple


class Batch(NamedTuple):
    """A batch of B examples with K encoder positions of 20 ms and T tokens.

    Each field is a NumPy array on the composing side and a JAX array on the training side; of a
    single example, the fields lack the leading B.
    """

    mel: Any
    """Normalised log-mel features, float16, (B, 2K, 80)."""
    positions: Any
    """Row of the position table each position stands at, int32, (B, K)."""
    key_log_weights: Any
    """Logarithm of how many positions each one stands for, float32, (B, K)."""
    tokens: Any
    """Input tokens, int32, (B, T)."""
    targets: Any
    """Target tokens, int32, (B, T)."""
    weights: Any
    """1.0 where a target counts, 0.0 in prompts and padding, float32, (B, T)."""
    spans: Any
    """First and last position where a target sounds, -1 if unknown, int32, (B, T, 2)."""
    word_spans: Any
    """The same for words alone, reaching up to the next word, int32, (B, T, 2)."""
    first_position: Any
    """The decoder's position of the first token, int32, (B,)."""
    frame_labels: Any
    """Class of each position: 0 silence, else a third of a word, int32, (B, K)."""
    frame_weights: Any
    """0.0 where the class is unknown, float16, (B, K)."""

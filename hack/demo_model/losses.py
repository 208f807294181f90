"""What the model is trained for: the transcript, the frames' words, and where to listen."""

from typing import Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hack.demo_model import model, vocabulary
from hack.demo_model.batch import Batch
from hack.demo_model.model import Array, Params

# A timestamp a few steps of 20 ms off is nearly right: its target is a narrow bell.
_TIMESTAMP_REACH: Final = 4
_TIMESTAMP_SIGMA: Final = 1.5
_SILENCE_WEIGHT: Final = 0.5


class Metrics(NamedTuple):
    """Means over a batch; the accuracies are under teacher forcing."""

    transcript_loss: Array
    frame_loss: Array
    attention_loss: Array
    word_accuracy: Array
    timestamp_accuracy: Array
    frame_accuracy: Array


def loss(
    params: Params, batch: Batch, frame_weight: Array, attention_weight: Array
) -> tuple[Array, Metrics]:
    """Return the total loss of the batch and its parts."""
    mel = batch.mel.astype(jnp.float32)
    audio = model.encode(params, mel, batch.positions, batch.key_log_weights)
    logits, alignments = model.decode(
        params, audio, batch.tokens, batch.first_position, batch.key_log_weights
    )
    frame_loss, frame_accuracy = _frame_loss(model.classify_frames(params, audio), batch)
    transcript_loss, word_accuracy, timestamp_accuracy = _transcript_loss(logits, batch)
    attention_loss = _attention_loss(alignments, batch)
    total = transcript_loss + frame_weight * frame_loss + attention_weight * attention_loss
    return total, Metrics(
        transcript_loss,
        frame_loss,
        attention_loss,
        word_accuracy,
        timestamp_accuracy,
        frame_accuracy,
    )


def _mean(values: Array, weights: Array) -> Array:
    return (values * weights).sum() / jnp.maximum(weights.sum(), 1)


def _frame_loss(logits: Array, batch: Batch) -> tuple[Array, Array]:
    """Return the cross-entropy of the frames' classes and the accuracy on spoken frames."""
    labels = batch.frame_labels
    log_probabilities = jax.nn.log_softmax(logits)
    surprise = -jnp.take_along_axis(log_probabilities, labels[..., None], -1)[..., 0]
    known = batch.frame_weights.astype(jnp.float32)
    spoken = (labels > 0) * known
    accuracy = _mean(logits.argmax(-1) == labels, spoken)
    return _mean(surprise, jnp.where(labels > 0, 1.0, _SILENCE_WEIGHT) * known), accuracy


def _transcript_loss(logits: Array, batch: Batch) -> tuple[Array, Array, Array]:
    """Return the decoder's loss, its word accuracy, and the share of timestamps within 0.1 s."""
    targets = batch.targets
    log_probabilities = jax.nn.log_softmax(logits)
    surprise = -jnp.take_along_axis(log_probabilities, targets[..., None], -1)[..., 0]

    is_timestamp = targets >= vocabulary.FIRST_TIMESTAMP
    reach = np.arange(-_TIMESTAMP_REACH, _TIMESTAMP_REACH + 1)
    bell = np.exp(-0.5 * (reach / _TIMESTAMP_SIGMA) ** 2).astype(np.float32)
    near = jnp.clip(
        targets[..., None] + reach, vocabulary.FIRST_TIMESTAMP, vocabulary.LAST_TIMESTAMP
    )
    near_log_probabilities = jnp.take_along_axis(log_probabilities, near, -1)
    soft_surprise = -(near_log_probabilities * (bell / bell.sum())).sum(-1)

    transcript_loss = _mean(jnp.where(is_timestamp, soft_surprise, surprise), batch.weights)
    best = logits.argmax(-1)
    word_accuracy = _mean(best == targets, (targets < vocabulary.END) * batch.weights)
    close = jnp.abs(best - targets) <= 0.1 / vocabulary.SECONDS_PER_TIMESTAMP
    return transcript_loss, word_accuracy, _mean(close, is_timestamp * batch.weights)


def _attention_loss(alignments: list[Array], batch: Batch) -> Array:
    """Return how far three cross-attention heads are from the place of what they transcribe.

    The first head of the last two layers must have its mass inside the token's span; the last
    layer's second head must spread evenly over the whole word, which makes good word timestamps.
    """
    inside, has_span = _spans(batch.spans, batch)
    guided = jnp.zeros(())
    for alignment in alignments[-2:]:
        mass = (alignment[:, 0] * inside).sum(-1)
        guided += 0.5 * _mean(-jnp.log(mass + 1e-4), has_span)

    inside, has_span = _spans(batch.word_spans, batch)
    size = jnp.maximum(inside.sum(-1), 1)
    log_aligner = jnp.log(alignments[-1][:, 1] + 1e-5)
    uneven = -(log_aligner * inside).sum(-1) / size - jnp.log(size)
    return guided + 0.7 * _mean(uneven, has_span)


def _spans(spans: Array, batch: Batch) -> tuple[Array, Array]:
    """Return which positions lie in each token's span (B, T, K), and which tokens have one."""
    places = jnp.arange(batch.positions.shape[1])
    first, last = spans[..., :1], spans[..., 1:]
    inside = ((places >= first) & (places <= last)).astype(jnp.float32)
    return inside, ((first[..., 0] >= 0) & (last[..., 0] >= first[..., 0])) * batch.weights

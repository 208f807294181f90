from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from faster_whisper import BatchedInferencePipeline, WhisperModel
from faster_whisper.feature_extractor import FeatureExtractor

from support.engine.fixtures import mel_window
from support.engine.synthetic import babble, noise
from whisperfleet.engine import Window, WindowRequest
from whisperfleet.engine.ctranslate2.features import compute_features
from whisperfleet.engine.interface import EDGE_SAMPLES
from whisperfleet.segmentation.pcm import to_float

REQUEST = WindowRequest()


@pytest.mark.parametrize("mels", [80, 128])
@pytest.mark.parametrize("seconds", [0.004, 0.015, 1.234, 30.0])
def test_a_window_has_the_features_of_the_librarys_chunks(mels: int, seconds: float):
    samples = babble(seconds)
    expected = FeatureExtractor(feature_size=mels)(to_float(samples))[..., :-1]
    features = mel_window(samples, REQUEST, mels=mels).features
    assert features.shape == (mels, len(samples) // 160)
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, expected)


def test_the_batched_pipeline_sees_the_same(library: WhisperModel, monkeypatch: pytest.MonkeyPatch):
    seen = []
    encode = library.encode
    monkeypatch.setattr(
        library, "encode", lambda features: seen.append(features) or encode(features)
    )
    samples = babble(12.0)
    clip = [{"start": 0, "end": 12}]
    segments, _ = BatchedInferencePipeline(library).transcribe(
        to_float(samples), "en", clip_timestamps=clip, temperature=0.0
    )
    assert list(segments)
    features = mel_window(samples, REQUEST, mels=80).features
    np.testing.assert_array_equal(seen[0][0][:, : features.shape[1]], features)
    assert not seen[0][0][:, features.shape[1] :].any()


def test_samples_are_scaled_as_the_library_does():
    samples = np.array([-32768, -1, 0, 1, 32767], np.int16)
    np.testing.assert_array_equal(to_float(samples), samples.astype(np.float32) / 32768.0)


def in_order(samples: np.ndarray, *bounds: int) -> Iterator[np.ndarray]:
    """Yield the features of the parts of one audio between samples, each with what is around it."""
    carry = None
    for start, end in pairwise(bounds):
        window = Window(
            samples[start:end],
            REQUEST,
            before=samples[max(0, start - EDGE_SAMPLES) : start],
            after=samples[end : end + EDGE_SAMPLES],
            carry=carry,
        )
        features, carry = compute_features(window, 80)
        yield features


def test_the_features_of_parts_are_slices_of_the_whole():
    samples = to_float(np.concatenate([babble(5.0), babble(5.0, 1) // 2]))
    whole = FeatureExtractor()(samples)
    parts = list(in_order(samples, 0, 100 * 160, 101 * 160, len(samples)))
    assert [part.shape[1] for part in parts] == [100, 1, len(samples) // 160 - 101]
    together = np.concatenate(parts, axis=1)
    np.testing.assert_allclose(together, whole[:, : together.shape[1]], atol=1e-5)


def test_the_floor_follows_the_loudest_so_far():
    quiet, loud = to_float(noise(1.0)), to_float(babble(1.0))
    samples = np.concatenate([quiet, loud * 3, quiet])
    before, _, after = in_order(samples, 0, 16_000, 32_000, 48_000)
    assert after.min() > before.min()
    # The first frames have something of what is loud.
    np.testing.assert_allclose(after[:, 5:-5], np.maximum(before, after.min())[:, 5:-5], atol=1e-6)


def test_threads_may_share_the_filters():
    samples = [babble(3.0, seed) for seed in range(8)]
    alone = [mel_window(one, REQUEST).features for one in samples]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda one: mel_window(one, REQUEST).features, samples))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)

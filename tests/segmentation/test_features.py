from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from faster_whisper import BatchedInferencePipeline, WhisperModel
from faster_whisper.feature_extractor import FeatureExtractor

from engine.synthetic import babble, noise
from whisperfleet.segmentation.features import (
    HALF_WINDOW,
    RunningLogMel,
    compute_features,
    to_float,
)


@pytest.mark.parametrize("mels", [80, 128])
@pytest.mark.parametrize("seconds", [0.004, 0.015, 1.234, 30.0])
def test_a_window_has_the_features_of_the_librarys_chunks(mels: int, seconds: float):
    samples = babble(seconds)
    expected = FeatureExtractor(feature_size=mels)(to_float(samples))[..., :-1]
    features = compute_features(samples, mels)
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
    features = compute_features(samples, 80)
    np.testing.assert_array_equal(seen[0][0][:, : features.shape[1]], features)
    assert not seen[0][0][:, features.shape[1] :].any()


def test_samples_are_scaled_as_the_library_does():
    samples = np.array([-32768, -1, 0, 1, 32767], np.int16)
    np.testing.assert_array_equal(to_float(samples), samples.astype(np.float32) / 32768.0)


def test_running_features_are_slices_of_the_whole():
    samples = to_float(np.concatenate([babble(5.0), babble(5.0, 1) // 2]))
    whole = FeatureExtractor()(samples)
    running = RunningLogMel(80)
    at = 100 * 160
    first = running.compute(np.pad(samples[: at + HALF_WINDOW], (HALF_WINDOW, 0), mode="reflect"))
    np.testing.assert_allclose(first[:, :100], whole[:, :100], atol=1e-5)
    rest = running.compute(samples[at - HALF_WINDOW :])
    np.testing.assert_allclose(rest, whole[:, 100 : 100 + rest.shape[1]], atol=1e-5)


def test_the_floor_follows_the_loudest_so_far():
    quiet, loud = to_float(noise(1.0)), to_float(babble(1.0))
    running = RunningLogMel(80)
    before = running.compute(quiet)
    running.compute(loud * 3)
    after = running.compute(quiet)
    assert after.min() > before.min()
    np.testing.assert_allclose(after, np.maximum(before, after.min()), atol=1e-6)


def test_threads_may_share_the_extractor():
    samples = [babble(3.0, seed) for seed in range(8)]
    alone = [compute_features(one, 80) for one in samples]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda one: compute_features(one, 80), samples))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)

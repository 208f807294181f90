"""What can be set of segmentation has the bounds that are declared."""

import pytest

from whisperfleet.engine.interface import WINDOW_SECONDS
from whisperfleet.segmentation import SegmentationOptions
from whisperfleet.settings import RecognitionSettings, settings_in

DECLARED = {each.name: each for each in settings_in(RecognitionSettings)}


def test_the_longest_window_is_the_longest_that_an_engine_takes() -> None:
    assert DECLARED["max_window_seconds"].most == WINDOW_SECONDS
    assert SegmentationOptions().max_window_seconds == WINDOW_SECONDS


@pytest.mark.parametrize("seconds", [4.9, 30.1])
def test_a_window_out_of_bounds_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match=f"max_window_seconds is {seconds}; it must be a number"):
        SegmentationOptions(max_window_seconds=seconds)


def test_what_is_not_set_is_as_it_is_declared() -> None:
    options = SegmentationOptions()
    assert options.vad == DECLARED["vad"].default
    assert options.mode == DECLARED["segmentation"].default

"""The segmenter that the options ask for."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from whisperfleet.engine.interface import WindowRequest
from whisperfleet.segmentation.detector import VadOptions
from whisperfleet.segmentation.options import Segmentation, SegmentationOptions
from whisperfleet.segmentation.parallel import ParallelSegmenter
from whisperfleet.segmentation.segmenter import Segmenter
from whisperfleet.segmentation.sequential import SequentialSegmenter
from whisperfleet.segmentation.speech import SpeechReader

__all__ = ["make_segmenter"]

# Less between two pauses is no word but a knock or a tone, of which a model would make one: "I",
# said half as fast again as usual, is heard for 190 ms.
_LEAST_SPEECH_MS = 150


def make_segmenter(
    blocks: Iterator[NDArray[np.int16]],
    request: WindowRequest,
    options: SegmentationOptions,
) -> Segmenter:
    """Return a segmenter over the decoded blocks (mono, 16 kHz) of one job.

    Blocks are pulled as windows need them; about two and a half minutes of audio are held at most.
    """
    detector = VadOptions(
        threshold=options.speech_threshold,
        min_speech_duration_ms=_LEAST_SPEECH_MS,
        min_silence_duration_ms=options.min_silence_ms,
        speech_pad_ms=options.speech_pad_ms,
    )
    # Also where pauses are not left out, they are where audio can be cut.
    reader = SpeechReader(blocks, detector, keep_pauses=not options.vad)
    if options.mode is Segmentation.SEQUENTIAL:
        return SequentialSegmenter(reader, request, options)
    return ParallelSegmenter(reader, request, options)

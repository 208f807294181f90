"""The cutter that the options ask for."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from whisperfleet.cutting.cutter import Cutter
from whisperfleet.cutting.detector import VadOptions
from whisperfleet.cutting.options import CuttingOptions, Segmentation
from whisperfleet.cutting.parallel import ParallelCutter
from whisperfleet.cutting.sequential import SequentialCutter
from whisperfleet.cutting.speech import SpeechReader
from whisperfleet.engine.seam import WindowRequest

__all__ = ["make_cutter"]

# Less between two pauses is no word but a knock or a tone, of which a model would make one: "I",
# said half as fast again as usual, is heard for 190 ms.
_LEAST_SPEECH_MS = 150


def make_cutter(
    blocks: Iterator[NDArray[np.int16]],
    request: WindowRequest,
    options: CuttingOptions,
    mels: int,
) -> Cutter:
    """Return a cutter over the decoded blocks (mono, 16 kHz) of one job.

    `mels` is the number of mel bands that the engine takes. Blocks are pulled as windows need them;
    about two and a half minutes of audio are held at most.
    """
    detector = VadOptions(
        threshold=options.speech_threshold,
        min_speech_duration_ms=_LEAST_SPEECH_MS,
        min_silence_duration_ms=options.min_silence_ms,
        speech_pad_ms=options.speech_pad_ms,
    )
    # Also where pauses are not left out, they are where audio can be cut.
    reader = SpeechReader(blocks, detector, keep_pauses=not options.vad)
    if options.segmentation is Segmentation.SEQUENTIAL:
        return SequentialCutter(reader, request, options, mels)
    return ParallelCutter(reader, request, options, mels)

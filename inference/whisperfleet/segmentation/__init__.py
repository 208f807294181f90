"""From decoded audio to windows, and from windows' words to one transcript.

A segmenter turns a stream of blocks into windows and remembers where each came from. `parallel`
packs what the voice activity detector found into windows that need nothing of one another;
`sequential` reads like the reference does, each window beginning where the last one's words ended.
"""

from whisperfleet.segmentation.assemble import assemble
from whisperfleet.segmentation.make import make_segmenter
from whisperfleet.segmentation.options import Segmentation, SegmentationOptions
from whisperfleet.segmentation.segmenter import Answered, PlacedWindow, Segmenter
from whisperfleet.segmentation.timeline import Piece, Timeline

__all__ = [
    "Answered",
    "Piece",
    "PlacedWindow",
    "Segmentation",
    "SegmentationOptions",
    "Segmenter",
    "Timeline",
    "assemble",
    "make_segmenter",
]

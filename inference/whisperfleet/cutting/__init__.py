"""From decoded audio to windows, and from windows' words to one transcript.

A cutter turns a stream of blocks into windows and remembers where each came from. `parallel` packs
what the voice activity detector found into windows that need nothing of one another; `sequential`
reads like the reference does, each window beginning where the last one's words ended.
"""

from whisperfleet.cutting.assemble import assemble
from whisperfleet.cutting.clock import Clock, Piece
from whisperfleet.cutting.cutter import Answered, Cut, Cutter
from whisperfleet.cutting.make import make_cutter
from whisperfleet.cutting.options import CuttingOptions, Segmentation

__all__ = [
    "Answered",
    "Clock",
    "Cut",
    "Cutter",
    "CuttingOptions",
    "Piece",
    "Segmentation",
    "assemble",
    "make_cutter",
]

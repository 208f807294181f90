"""Recognition measured with real Whisper weights on real and spoken-to-order speech.

Weights, a voice and recordings come from the ordinary package registries, pinned by hash, into a
cache. Nothing of them is part of the product or of an image.
"""

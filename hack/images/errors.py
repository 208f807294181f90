"""What goes wrong with images, said so that a reader can mend it."""

__all__ = ["ImageError"]


class ImageError(Exception):
    """The message says what happened, to what, and what to do about it."""

"""What goes wrong on the ground for measuring recognition."""

__all__ = ["GroundError"]


class GroundError(RuntimeError):
    """Something that is measured with cannot be had. The message says what, and what to do."""

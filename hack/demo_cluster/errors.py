"""What goes wrong with the demo, said so that a reader can mend it."""

__all__ = ["DemoError"]


class DemoError(Exception):
    """The message says what happened, to what, and what to look at."""

"""What goes wrong with the testbed, said so that a reader can mend it."""

__all__ = ["TestbedError"]


class TestbedError(Exception):
    """The message says what happened, to what, and what to do about it."""

    # pytest otherwise takes an imported class of this name for a class of tests.
    __test__ = False

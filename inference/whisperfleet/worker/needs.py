"""What a worker must be able to do. The lease process names them too, and imports little."""

from enum import StrEnum

__all__ = ["Need"]


class Need(StrEnum):
    """Whoever does one of them notes how it went; in the order in which a person is told."""

    MACHINE = "machine"
    CLAIM = "claim"
    RENEW = "renew"
    PUBLISH = "publish"

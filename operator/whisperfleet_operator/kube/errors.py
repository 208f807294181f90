"""What the API server can answer instead of an object, as one tree.

::

    KubeError
    ├── NotFoundError        no such object, or no such kind
    ├── AlreadyExistsError   the name is taken, or the object is no longer the one that was meant
    ├── ForbiddenError       RBAC, a quota or an admission plugin says no
    ├── InvalidError         the object breaks its schema; trying again gives the same
    ├── ServerError          any other answer, such as of a server whose webhook is down
    └── UnavailableError     no answer, or one that says to come back later
"""

__all__ = [
    "AlreadyExistsError",
    "ForbiddenError",
    "InvalidError",
    "KubeError",
    "NotFoundError",
    "ServerError",
    "UnavailableError",
]


class KubeError(Exception):
    """The root of the tree: `verb` on `what` gave `reason`."""

    def __init__(self, verb: str, what: str, reason: str) -> None:
        super().__init__(f"{verb} {what}: {reason}")
        self.reason = reason


class NotFoundError(KubeError):
    """The object or its kind does not exist."""


class AlreadyExistsError(KubeError):
    """Another object has the name, or the object is another by now than the one that was meant."""


class ForbiddenError(KubeError):
    """The API server understood and refuses."""


class InvalidError(KubeError):
    """The object breaks its schema or a rule of it."""


class ServerError(KubeError):
    """The API server answers that it failed; it may stay so until somebody mends it."""


class UnavailableError(KubeError):
    """The API server cannot be reached or asks to come back later."""

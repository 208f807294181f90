"""The operator's interface to the Kubernetes API: nothing else in it knows the client library.

`client` implements it; the tests' double keeps the same contract, by one contract test for both.
Objects are plain JSON: dicts with `apiVersion`, `kind` and `metadata`.
"""

from whisperfleet_operator.kube.errors import (
    AlreadyExistsError,
    ForbiddenError,
    InvalidError,
    KubeError,
    NotFoundError,
    ServerError,
    UnavailableError,
)
from whisperfleet_operator.kube.interface import Kube, Object
from whisperfleet_operator.kube.kinds import Kind, kind_of

__all__ = [
    "AlreadyExistsError",
    "ForbiddenError",
    "InvalidError",
    "Kind",
    "Kube",
    "KubeError",
    "NotFoundError",
    "Object",
    "ServerError",
    "UnavailableError",
    "kind_of",
]

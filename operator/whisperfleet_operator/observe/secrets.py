"""The Secrets that services name: read when asked for, kept for seconds, never watched.

A watch would need the right to list every Secret of the namespace.
"""

import base64
import binascii
import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from whisperfleet_operator.kube import Kube, NotFoundError, Object
from whisperfleet_operator.kube.kinds import SECRET
from whisperfleet_operator.observe.observation import Problem
from whisperfleet_operator.plan import SecretNeed
from whisperfleet_operator.resource import Reason

__all__ = ["SecretReader", "Secrets"]

_KEPT_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Secrets:
    """What a service's Secrets hold, by name and key.

    `version` is a text that changes with every write to one of them, and tells nothing of what is
    in them; None where there are none.
    """

    values: dict[str, dict[str, str]] = field(repr=False)
    version: str | None

    def value(self, secret: str, key: str) -> str | None:
        """Return the text under a key; None where it is absent."""
        return self.values.get(secret, {}).get(key)


class SecretReader:
    """Reads Secrets; for any thread."""

    def __init__(self, kube: Kube, clock: Callable[[], float] = time.monotonic) -> None:
        self._kube = kube
        self._clock = clock
        self._kept: dict[tuple[str, str], tuple[float, Object]] = {}
        self._lock = threading.Lock()

    def read(self, namespace: str, needs: Sequence[SecretNeed]) -> Secrets | Problem:
        """Return what the Secrets hold, or what is missing. Raises KubeError but NotFoundError."""
        values: dict[str, dict[str, str]] = {}
        versions = []
        for need in needs:
            secret = self._secret(namespace, need.name)
            if secret is None:
                return Problem(
                    Reason.SECRET_MISSING,
                    f"the Secret {need.name} does not exist in the namespace {namespace}: create "
                    f"it with the key {' and '.join(need.required)}",
                )
            metadata = secret["metadata"]
            versions.append(f"{metadata['uid']}/{metadata['resourceVersion']}")
            data = secret.get("data") or {}
            for key in (*need.required, *need.optional):
                text = _decode(data.get(key))
                if text is not None:
                    values.setdefault(need.name, {})[key] = text
                elif key in need.required:
                    return Problem(
                        Reason.SECRET_MISSING,
                        f"the Secret {need.name} in the namespace {namespace} has no text under "
                        f"the key {key}: add it",
                    )
        return Secrets(values, _version(versions) if versions else None)

    def _secret(self, namespace: str, name: str) -> Object | None:
        now = self._clock()
        with self._lock:
            kept = self._kept.get((namespace, name))
            if kept is not None and now - kept[0] < _KEPT_SECONDS:
                return kept[1]
        try:
            secret = self._kube.get(SECRET, namespace, name)
        except NotFoundError:
            with self._lock:
                self._kept.pop((namespace, name), None)
            return None
        with self._lock:
            for other, (read, _) in list(self._kept.items()):
                if now - read > _KEPT_SECONDS:
                    del self._kept[other]
            self._kept[namespace, name] = (now, secret)
        return secret


def _decode(data: str | None) -> str | None:
    """Return the text; None for what is absent, empty or no text."""
    if not data:
        return None
    try:
        return base64.b64decode(data, validate=True).decode("utf-8") or None
    except (binascii.Error, UnicodeDecodeError):
        return None


def _version(versions: Sequence[str]) -> str:
    return hashlib.sha256(" ".join(versions).encode()).hexdigest()[:16]

"""The Secrets that services name: read when asked for, kept for seconds, never watched.

A watch would need the right to list every Secret of the namespace.
"""

import base64
import binascii
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from whisperfleet_operator.kube import ForbiddenError, Kube, NotFoundError, Object
from whisperfleet_operator.kube.kinds import SECRET
from whisperfleet_operator.observe.observation import Problem
from whisperfleet_operator.plan import SecretNeed
from whisperfleet_operator.resource import Reason

__all__ = ["SecretReader", "Secrets"]

_KEPT_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Secrets:
    """What a service's Secrets hold, by name and key, and what they lack.

    `digest` is a text that changes with what is used of them and tells nothing of it; None where
    no Secret is named, or one of them lacks something. `revision` changes with every write to one
    of them: it is what 0.1.0 wrote in the digest's place.
    """

    values: dict[str, dict[str, str]] = field(repr=False)
    digest: str | None
    revision: str | None = None
    problems: tuple[Problem, ...] = ()

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

    def read(self, namespace: str, needs: Sequence[SecretNeed]) -> Secrets:
        """Return what the Secrets hold as texts, and what they lack.

        Raises KubeError but NotFoundError and ForbiddenError, which lack something too.
        """
        values: dict[str, dict[str, str]] = {}
        secrets: list[Object] = []
        problems: list[Problem] = []
        for need in needs:
            secret = self._find(namespace, need)
            if isinstance(secret, Problem):
                problems.append(secret)
                continue
            secrets.append(secret)
            data = secret.get("data") or {}
            for key in (*need.required, *need.optional):
                text = _decode(data.get(key))
                if text is not None:
                    values.setdefault(need.name, {})[key] = text
                elif key in need.required:
                    problems.append(_without(need, namespace, f"no text under the key {key}"))
        if problems or not secrets:
            return Secrets(values, None, problems=tuple(problems))
        return Secrets(values, _digest(secrets, values), _revision(secrets))

    def lacking(self, namespace: str, needs: Sequence[SecretNeed]) -> tuple[Problem, ...]:
        """Return what is missing of these, whatever the keys hold. Raises as `read` does."""
        problems = []
        for need in needs:
            secret = self._find(namespace, need)
            if isinstance(secret, Problem):
                problems.append(secret)
                continue
            absent = [key for key in need.required if key not in (secret.get("data") or {})]
            if absent:
                problems.append(_without(need, namespace, f"no key {' and '.join(absent)}"))
        return tuple(problems)

    def _find(self, namespace: str, need: SecretNeed) -> Object | Problem:
        try:
            return self._secret(namespace, need.name) or _missing(need, namespace)
        except ForbiddenError as error:
            return Problem(
                Reason.API_SERVER_ERROR,
                f"the operator may not read the Secret {need.name} of {need.field}: give its role "
                f"the right to get Secrets, as the chart does ({error.reason})",
            )

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


def _missing(need: SecretNeed, namespace: str) -> Problem:
    keys = f" with the key {' and '.join(need.required)}" if need.required else ""
    return Problem(
        Reason.SECRET_MISSING,
        f"the Secret {need.name} does not exist in the namespace {namespace}: create it{keys}, or "
        f"correct {need.field}, which names it",
    )


def _without(need: SecretNeed, namespace: str, lack: str) -> Problem:
    return Problem(
        Reason.SECRET_MISSING,
        f"the Secret {need.name} in the namespace {namespace} has {lack}: add it, or correct "
        f"{need.field}, which names the Secret",
    )


def _decode(data: str | None) -> str | None:
    """Return the text; None for what is absent, empty or no text."""
    if not data:
        return None
    try:
        return base64.b64decode(data, validate=True).decode("utf-8") or None
    except (binascii.Error, UnicodeDecodeError):
        return None


def _digest(secrets: Sequence[Object], values: dict[str, dict[str, str]]) -> str:
    """Return a digest that only who may read the Secrets can compare with a guess.

    The key is what nobody else is told, and what is the same for every operator: their uids.
    """
    key = " ".join(secret["metadata"]["uid"] for secret in secrets)
    text = json.dumps(values, sort_keys=True)
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()[:32]


def _revision(secrets: Sequence[Object]) -> str:
    writes = (
        f"{each['metadata']['uid']}/{each['metadata']['resourceVersion']}" for each in secrets
    )
    return hashlib.sha256(" ".join(writes).encode()).hexdigest()[:16]

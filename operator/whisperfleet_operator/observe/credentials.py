"""Which version of its Secrets the workers of a service run with.

A Secret has a new version after every write, one of a label or of a key that no worker reads too,
and each other version on the pods sends every GPU through a rollout. So what is used is remembered,
in memory alone; where it is as it was, the new version is noted on the Deployment, beside the pods'
template, where the next operator finds it.
"""

from collections.abc import Mapping
from typing import NamedTuple

from whisperfleet_operator.kube import Object
from whisperfleet_operator.kube.kinds import DEPLOYMENT
from whisperfleet_operator.observe.secrets import Secrets
from whisperfleet_operator.plan import ChildRef
from whisperfleet_operator.resource.names import CREDENTIALS_ANNOTATION, SAME_CREDENTIALS_ANNOTATION
from whisperfleet_operator.work_queue import Key

__all__ = ["Credentials", "CredentialsMemory"]


class Credentials(NamedTuple):
    """The version for the pods, and a later one, if any, that holds the same credentials."""

    version: str | None
    same_as: str | None = None


class CredentialsMemory:
    """What each service's Secrets held when its pods' version was made; for any thread."""

    def __init__(self) -> None:
        self._known: dict[Key, tuple[str, dict[str, dict[str, str]]]] = {}

    def choose(
        self, key: Key, secrets: Secrets, live: Mapping[ChildRef, Object], *, accepted: bool
    ) -> Credentials:
        """Return the credentials to run with.

        Those that Redis has not `accepted` would roll workers that work into ones that do not.
        """
        if secrets.version is None:
            self.forget(key)
            return Credentials(None)
        in_use = _in_use(live)
        if in_use.version is None:
            return Credentials(secrets.version)
        unchanged = self._known.get(key) == (in_use.version, secrets.values)
        if secrets.version in in_use or unchanged:
            self._known[key] = (in_use.version, secrets.values)
            return _noted(in_use.version, secrets.version)
        return Credentials(secrets.version) if accepted else in_use

    def forget(self, key: Key) -> None:
        """Forget a service that is gone."""
        self._known.pop(key, None)


def _noted(version: str, latest: str) -> Credentials:
    return Credentials(version, latest if latest != version else None)


def _in_use(live: Mapping[ChildRef, Object]) -> Credentials:
    for ref, obj in live.items():
        if ref.kind == DEPLOYMENT.name:
            pod = obj["spec"]["template"]["metadata"]
            return Credentials(
                pod.get("annotations", {}).get(CREDENTIALS_ANNOTATION),
                obj["metadata"].get("annotations", {}).get(SAME_CREDENTIALS_ANNOTATION),
            )
    return Credentials(None)

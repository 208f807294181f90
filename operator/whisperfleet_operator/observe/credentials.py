"""Which credentials the workers of a service run with.

A digest of what is used of its Secrets is on the pods, so that new credentials roll them, and
another on the Deployment where the same credentials have got another digest. Both are in the
cluster: an operator that begins anew, or was away while somebody wrote to a Secret, rolls nothing
that runs with the same.
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
    """The text for the pods, and another one, if any, for the same credentials."""

    digest: str | None
    same_as: str | None = None


class CredentialsMemory:
    """What each service's Secrets held when its pods' digest was made; for any thread.

    It only spares a rollout where a Secret is deleted and made anew with the same in it, which
    changes its digest: without it such a rollout is needless, and harmless.
    """

    def __init__(self) -> None:
        self._known: dict[Key, tuple[str, dict[str, dict[str, str]]]] = {}

    def choose(
        self, key: Key, secrets: Secrets, live: Mapping[ChildRef, Object], *, accepted: bool
    ) -> Credentials:
        """Return the credentials to run with.

        Those that are missing, or that Redis has not `accepted`, would roll workers that work into
        ones that do not.
        """
        in_use = _in_use(live)
        if secrets.digest is None:
            if secrets.problems:
                return in_use
            self.forget(key)
            return Credentials(None)
        if in_use.digest is None:
            return Credentials(secrets.digest)
        remembered = self._known.get(key) == (in_use.digest, secrets.values)
        if remembered or {secrets.digest, secrets.revision} & set(in_use):
            self._known[key] = (in_use.digest, secrets.values)
            return _noted(in_use.digest, secrets.digest)
        return Credentials(secrets.digest) if accepted else in_use

    def forget(self, key: Key) -> None:
        """Forget a service that is gone."""
        self._known.pop(key, None)


def _noted(in_use: str, latest: str) -> Credentials:
    return Credentials(in_use, latest if latest != in_use else None)


def _in_use(live: Mapping[ChildRef, Object]) -> Credentials:
    for ref, obj in live.items():
        if ref.kind == DEPLOYMENT.name:
            pod = obj["spec"]["template"]["metadata"]
            return Credentials(
                pod.get("annotations", {}).get(CREDENTIALS_ANNOTATION),
                obj["metadata"].get("annotations", {}).get(SAME_CREDENTIALS_ANNOTATION),
            )
    return Credentials(None)

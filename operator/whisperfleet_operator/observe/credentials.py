"""Which credentials the workers of a pool run with.

A digest of what is used of the service's Secrets is on the pods, so that new credentials roll them,
and another on the Deployment where the same credentials have got another digest. Both are in the
cluster: an operator that has just started, or was away while somebody wrote to a Secret, rolls no
pod that runs with the same credentials.
"""

from whisperfleet_operator.kube import Object
from whisperfleet_operator.memory import KnownCredentials, PoolMemory
from whisperfleet_operator.observe.secrets import Secrets
from whisperfleet_operator.plan import Credentials
from whisperfleet_operator.resource.names import CREDENTIALS_ANNOTATION, SAME_CREDENTIALS_ANNOTATION

__all__ = ["choose_credentials"]


def choose_credentials(
    memory: PoolMemory, secrets: Secrets, deployment: Object | None, *, accepted: bool
) -> Credentials:
    """Return the credentials that the pods of a pool are to run with.

    `deployment` is the pool's. Credentials that are missing, or that Redis has not `accepted`,
    would replace workers that work by workers that do not. What is remembered only spares a rollout
    where a Secret is deleted and made anew with the same content, which changes its digest.
    """
    in_use = _in_use(deployment)
    if secrets.digest is None:
        if secrets.problems:
            return in_use
        memory.credentials = None
        return Credentials()
    if in_use.digest is None:
        return Credentials(secrets.digest)
    known = KnownCredentials(in_use.digest, secrets.values)
    if memory.credentials == known or {secrets.digest, secrets.revision} & set(in_use):
        memory.credentials = known
        is_latest = secrets.digest == in_use.digest
        return Credentials(in_use.digest, None if is_latest else secrets.digest)
    return Credentials(secrets.digest) if accepted else in_use


def _in_use(deployment: Object | None) -> Credentials:
    if deployment is None:
        return Credentials()
    pod = deployment["spec"]["template"]["metadata"]
    return Credentials(
        pod.get("annotations", {}).get(CREDENTIALS_ANNOTATION),
        deployment["metadata"].get("annotations", {}).get(SAME_CREDENTIALS_ANNOTATION),
    )

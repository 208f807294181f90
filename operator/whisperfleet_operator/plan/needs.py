"""What a service needs that others make."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from whisperfleet_operator.resource.pools import Pool
from whisperfleet_operator.resource.queue import RedisSpec
from whisperfleet_operator.resource.service import TranscriptionService

__all__ = [
    "CA_KEY",
    "PASSWORD_KEY",
    "USERNAME_KEY",
    "SecretNeed",
    "pull_needs",
    "secret_needs",
    "template_needs",
]

USERNAME_KEY = "username"
PASSWORD_KEY = "password"  # noqa: S105 - the key's name
CA_KEY = "ca.crt"


class SecretNeed(NamedTuple):
    """A Secret of the service's namespace, the keys that it must have and those that it may.

    `field` of the spec names it.
    """

    name: str
    field: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()


def secret_needs(redis: RedisSpec) -> tuple[SecretNeed, ...]:
    """Return the Secrets without which neither workers nor autoscaler can reach Redis."""
    needs = []
    if redis.credentials is not None:
        field = "spec.queue.redis.credentials"
        name = redis.credentials.secret_name
        needs.append(SecretNeed(name, field, (PASSWORD_KEY,), (USERNAME_KEY,)))
    if redis.tls is not None:
        needs.append(SecretNeed(redis.tls.ca_secret_name, "spec.queue.redis.tls", (CA_KEY,)))
    return tuple(needs)


def template_needs(service: TranscriptionService) -> tuple[SecretNeed, ...]:
    """Return the Secrets of the pools' templates without which no worker starts.

    KEDA reads the environment of what it scales, and without one of these it scales no pool.
    """
    return tuple(
        SecretNeed(source["name"], field, source["keys"])
        for pool in service.spec.pools
        for field, source in (*_of_env(pool), *_of_volumes(pool))
        if source["name"]
    )


def _of_env(pool: Pool) -> Iterator[tuple[str, dict[str, Any]]]:
    for entry in pool.template.env:
        source = (entry.value_from or {}).get("secretKeyRef")
        if isinstance(source, Mapping) and not source.get("optional"):
            field = f"the variable {entry.name} in template.env of the pool {pool.name}"
            yield field, {"name": source.get("name"), "keys": (source.get("key", ""),)}


def _of_volumes(pool: Pool) -> Iterator[tuple[str, dict[str, Any]]]:
    for volume in pool.template.volumes:
        source = (volume.model_extra or {}).get("secret")
        if isinstance(source, Mapping) and not source.get("optional"):
            field = f"the volume {volume.name} in template.volumes of the pool {pool.name}"
            keys = tuple(item.get("key", "") for item in source.get("items") or ())
            yield field, {"name": source.get("secretName"), "keys": keys}


def pull_needs(pool: Pool) -> tuple[SecretNeed, ...]:
    """Return the Secrets that may be needed to pull the image of a pool."""
    field = f"template.imagePullSecrets of the pool {pool.name}"
    return tuple(SecretNeed(each.name, field, ()) for each in pool.template.image_pull_secrets)

"""What a service needs that others make."""

from typing import NamedTuple

from whisperfleet_operator.resource.queue import RedisSpec

__all__ = [
    "CA_KEY",
    "PASSWORD_KEY",
    "USERNAME_KEY",
    "SecretNeed",
    "secret_needs",
]

USERNAME_KEY = "username"
PASSWORD_KEY = "password"  # noqa: S105 - the key's name
CA_KEY = "ca.crt"


class SecretNeed(NamedTuple):
    """A Secret of the service's namespace, the keys that it must have and those that it may."""

    name: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()


def secret_needs(redis: RedisSpec) -> tuple[SecretNeed, ...]:
    """Return the Secrets without which neither workers nor autoscaler can reach Redis."""
    needs = []
    if redis.credentials is not None:
        needs.append(SecretNeed(redis.credentials.secret_name, (PASSWORD_KEY,), (USERNAME_KEY,)))
    if redis.tls is not None:
        needs.append(SecretNeed(redis.tls.ca_secret_name, (CA_KEY,)))
    return tuple(needs)

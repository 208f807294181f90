"""`spec.queue`: where jobs come from, and the rules of their queue."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from whisperfleet.contract.keys import Priority
from whisperfleet_operator.resource.base import (
    ObjectName,
    Part,
    Rule,
    checked_by,
    keyed_by,
    rules_schema,
)
from whisperfleet_operator.resource.redis_address import RedisAddress
from whisperfleet_operator.resource.settings import declared, with_settings

__all__ = ["Credentials", "DeadLettersSpec", "PrioritySpec", "QueueSpec", "RedisSpec", "RedisTls"]

# 1 to 65535.
_PORT = r"([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
# Host name, IPv4 address or [IPv6 address]; port and database are optional.
_HOST = r"([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
_URL = rf"^rediss?://{_HOST}(:{_PORT})?(/[0-9]{{0,4}})?$"


def _can_be_parsed(url: str) -> str:
    RedisAddress.parse(url, "any")
    return url


class Credentials(Part):
    """The account that the workers and the autoscaler use in Redis."""

    secret_name: ObjectName
    """A Secret in the service's namespace with the keys `password` and, for an account of its own,
    `username`. When one of them changes, the workers are replaced one by one."""


class RedisTls(Part):
    """How the server's certificate is verified."""

    ca_secret_name: ObjectName
    """A Secret in the service's namespace whose key `ca.crt` is the PEM bundle to trust."""


class RedisSpec(Part):
    """Redis 7.0 or later, or Valkey."""

    model_config = checked_by(
        Rule(
            "!has(self.tls) || self.url.startsWith('rediss://')",
            "queue.redis.tls is set but the url is not TLS: write rediss://, or drop tls",
        )
    )

    url: Annotated[
        str,
        AfterValidator(_can_be_parsed),
        Field(
            max_length=300,
            json_schema_extra=rules_schema(
                Rule(
                    "!self.contains('@')",
                    "queue.redis.url carries credentials, which everybody who may read this object "
                    "would see: put them into a Secret and name it in queue.redis.credentials",
                ),
                Rule(
                    f"self.contains('@') || self.matches(r'{_URL}')",
                    "queue.redis.url is no address of a Redis: write redis://HOST:PORT/DB, or "
                    "rediss:// for TLS",
                ),
            ),
        ),
    ]
    """Where Redis is: redis://HOST:PORT/DB, or rediss:// for TLS. Never with a password."""
    credentials: Credentials | None = None
    """The account in Redis. Absent: none, which needs a Redis without a password."""
    tls: RedisTls | None = None
    """How the server's certificate is verified. Absent: with the system's authorities."""


class PrioritySpec(Part):
    """A class of jobs, with a stream of its own."""

    name: Annotated[str, StringConstraints(max_length=32, pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$")]
    """The name of the class, and the end of its stream's name: wf:{queue}:in:<name>."""
    weight: Annotated[int, Field(ge=1, le=1000)]
    """The share of the claims while every class has jobs: with weights 8, 3 and 1 the last class
    gets a twelfth."""


TenantName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$"),
]
"""What may stand for a tenant in the name of a stream."""


def _specs(priorities: Iterable[Priority]) -> tuple[PrioritySpec, ...]:
    return tuple(PrioritySpec(name=each.name, weight=each.weight) for each in priorities)


@with_settings("queue.deadLetters")
class DeadLettersSpec(Part):
    """How long jobs that failed for good are kept for a person to decide on."""

    retention_seconds: int = declared("queue.deadLetters.retentionSeconds")
    max_length: int = declared("queue.deadLetters.maxLength")


@with_settings("queue")
class QueueSpec(Part):
    """The queue that jobs come from, and its rules. Deleting the service keeps the queue."""

    model_config = checked_by(
        Rule(
            "has(self.id) == has(oldSelf.id) && (!has(self.id) || self.id == oldSelf.id)",
            "queue.id cannot change, or jobs would stay behind in the old queue: keep it, or make "
            "a new service for the new queue",
        ),
    )

    id: (
        Annotated[str, StringConstraints(max_length=127, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
        | None
    ) = None
    """The queue's id, part of every key in Redis. Absent: <namespace>.<name>. It cannot be
    changed."""
    redis: RedisSpec
    """Where the queue is."""
    priorities: Annotated[tuple[PrioritySpec, ...], keyed_by("name")] = declared(
        "queue.priorities",
        _specs,
        min_length=1,
        max_length=8,
        json_schema_extra=rules_schema(
            Rule(
                "oldSelf.all(o, self.exists(p, p.name == o.name))",
                "a priority was removed, and jobs in its stream would wait for ever: keep it, "
                "with a weight of 1, or make a new service",
            )
        ),
    )
    tenants: tuple[TenantName, ...] = declared(
        "queue.tenants", max_length=32, json_schema_extra={"x-kubernetes-list-type": "set"}
    )
    lease_seconds: int = declared("queue.leaseSeconds")
    max_deliveries: int = declared("queue.maxDeliveries")
    max_releases: int = declared("queue.maxReleases")
    dead_letters: DeadLettersSpec | None = None
    """How long jobs that failed for good are kept for a person to decide on. Absent: as the
    workers' image does, for two weeks and up to ten thousand."""

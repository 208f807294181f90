"""Where the queue is, seen from anywhere in the cluster."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

__all__ = ["DEFAULT_PORT", "RedisAddress"]

DEFAULT_PORT = 6379


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """A Redis: `host` is a name or an IP address (IPv6 without brackets), `tls` means rediss://."""

    host: str
    port: int = DEFAULT_PORT
    database: int = 0
    tls: bool = False

    @classmethod
    def parse(cls, url: str, namespace: str) -> Self:
        """Read a URL of `spec.queue.redis`.

        A host without a dot is a Service of `namespace`: workers would find it under that name, the
        autoscaler and the operator, which live elsewhere, would not. Raises ValueError.
        """
        parts = urlsplit(url)
        if parts.hostname is None:
            raise ValueError("the Redis address names no host; write redis://HOST:PORT/DB")
        host = parts.hostname
        if "." not in host and ":" not in host and host != "localhost":
            host = f"{host}.{namespace}.svc"
        return cls(
            host=host,
            port=parts.port or DEFAULT_PORT,
            database=int(parts.path.strip("/") or 0),
            tls=parts.scheme == "rediss",
        )

    @property
    def host_port(self) -> str:
        """The address as Go's net package reads it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The address as the workers and the operator read it; without credentials."""
        return f"{'rediss' if self.tls else 'redis'}://{self.host_port}/{self.database}"

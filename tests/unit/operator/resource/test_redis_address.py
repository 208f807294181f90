"""One address of Redis for workers, autoscaler and operator, wherever they run."""

import re

import pytest

from support.operator.samples import changed, minimal, read
from whisperfleet_operator.resource.queue import _URL
from whisperfleet_operator.resource.redis_address import RedisAddress


@pytest.mark.parametrize(
    ("url", "expected", "host_port"),
    [
        ("redis://redis", "redis://redis.team-a.svc:6379/0", "redis.team-a.svc:6379"),
        ("redis://redis:6380/2", "redis://redis.team-a.svc:6380/2", "redis.team-a.svc:6380"),
        ("redis://redis/", "redis://redis.team-a.svc:6379/0", "redis.team-a.svc:6379"),
        ("redis://redis.other:1", "redis://redis.other:1/0", "redis.other:1"),
        ("rediss://r.example.org/7", "rediss://r.example.org:6379/7", "r.example.org:6379"),
        ("redis://10.0.0.7:6379/0", "redis://10.0.0.7:6379/0", "10.0.0.7:6379"),
        ("redis://[fd12::7]:6379/0", "redis://[fd12::7]:6379/0", "[fd12::7]:6379"),
        ("redis://localhost:6379", "redis://localhost:6379/0", "localhost:6379"),
    ],
)
def test_an_address_is_understood_in_every_namespace(
    url: str, expected: str, host_port: str
) -> None:
    address = RedisAddress.parse(url, "team-a")
    assert address.url == expected
    assert address.host_port == host_port


def test_no_host_is_no_address() -> None:
    with pytest.raises(ValueError, match="redis://HOST"):
        RedisAddress.parse("redis:///0", "team-a")


@pytest.mark.parametrize("port", [1, 9, 10, 9999, 10_000, 59_999, 60_000, 64_999, 65_000, 65_535])
def test_every_port_is_let_in(port: int) -> None:
    service = read(changed(minimal(), "spec.queue.redis.url", f"redis://redis:{port}"))
    assert service.redis.port == port
    assert re.search(_URL, service.spec.queue.redis.url)


@pytest.mark.parametrize("port", [0, 65_536, 65_540, 65_600, 66_000, 70_000, 99_999])
def test_no_other_number_is(port: int) -> None:
    assert not re.search(_URL, f"redis://redis:{port}")

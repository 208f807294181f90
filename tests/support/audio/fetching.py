"""Fetching for tests: what their own server is allowed, and fetching in vain."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from whisperfleet.audio.addresses import Address
from whisperfleet.audio.fetch import Fetcher
from whisperfleet.audio.policy import FetchPolicy
from whisperfleet.errors import JobError
from whisperfleet.settings.forms import parse_networks

# Only the test's own server may be contacted; 127.0.0.2 stands for all that may not.
POLICY = FetchPolicy(
    allow_http=True,
    allowed_hosts=("audio.test", "*.audio.test", "127.0.0.1"),
    allowed_networks=parse_networks(["127.0.0.1/32"]),
    connect_timeout_seconds=20,
    read_timeout_seconds=20,
    total_timeout_seconds=60,
)
# For names that no list restricts: the address alone decides.
ANY_HOST = replace(POLICY, allowed_hosts=(), allowed_ports=frozenset(range(1, 65536)))
AUDIO = bytes(range(256)) * 1000


class Names:
    """A resolver: answers in turn, the last one for ever, and counts the look-ups."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = [[ip_address(address) for address in answer] for answer in answers]
        self.asked: list[tuple[str, int]] = []

    def __call__(self, host: str, port: int) -> list[Address]:
        self.asked.append((host, port))
        return self.answers[min(len(self.asked), len(self.answers)) - 1]


def fetched(fetcher: Fetcher, url: str, tmp_path: Path, **options: Any) -> bytes:
    target = tmp_path / "audio"
    size = fetcher.fetch(url, target, **options)
    content = target.read_bytes()
    assert size == len(content)
    return content


def failure(fetcher: Fetcher, url: str, tmp_path: Path, **options: Any) -> JobError:
    """Fetch in vain; whatever the reason, nothing is left and no secret is told."""
    target = tmp_path / "audio"
    with pytest.raises(JobError) as caught:
        fetcher.fetch(url, target, **options)
    assert not target.exists()
    assert "secret" not in str(caught.value)
    assert ";" in caught.value.message
    return caught.value

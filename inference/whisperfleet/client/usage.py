"""What the jobs of a queue have used, by tenant and class."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import redis

from whisperfleet.client.reports import TenantUsage
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.usage import FIGURES

__all__ = ["read_usage"]

_MS = 1000


def read_usage(client: redis.Redis, keys: Keys) -> list[TenantUsage]:
    """Read the sums of a queue: first those of nobody's jobs, then tenant by tenant."""
    sums: Any = client.hgetall(keys.usage)
    by_owner: defaultdict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for name, amount in sums.items():
        owner, _, figure = name.decode("utf-8", "replace").rpartition("/")
        # A newer version may sum more.
        if owner and figure in FIGURES and amount.isdigit():
            priority, _, tenant = owner.partition("/")
            by_owner[tenant, priority][figure] = int(amount)
    return [
        _of(tenant, priority, figures) for (tenant, priority), figures in sorted(by_owner.items())
    ]


def _of(tenant: str, priority: str, figures: Mapping[str, int]) -> TenantUsage:
    return TenantUsage(
        tenant=tenant or None,
        priority=priority,
        jobs=figures.get("jobs", 0),
        cached=figures.get("cached", 0),
        attempts=figures.get("attempts", 0),
        windows=figures.get("windows", 0),
        audio_seconds=figures.get("audio_ms", 0) / _MS,
        speech_seconds=figures.get("speech_ms", 0) / _MS,
        device_seconds=figures.get("device_ms", 0) / _MS,
        queue_seconds=figures.get("queue_ms", 0) / _MS,
    )

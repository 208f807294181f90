"""Whether a queue's sums of usage are those of its results, with every ending once."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Any, Final

import redis

from whisperfleet.contract.events import DoneEvent
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.result import Result

__all__ = ["check_usage", "read_sums"]

_PAGE: Final = 1000


def read_sums(client: redis.Redis, keys: Keys) -> Counter[str]:
    """Return the queue's own sums, `<priority>/<tenant>/<figure>` and `tenants`."""
    sums: Any = client.hgetall(keys.usage)
    return Counter({name.decode(): int(amount) for name, amount in sums.items()})


def check_usage(
    client: redis.Redis, keys: Keys, events: Collection[DoneEvent], sums: Mapping[str, int]
) -> Iterator[str]:
    """Compare the sums with what the results say, each once by its job and epoch."""
    told = _add_up(client, keys, events)
    for name in sorted(told.keys() | sums.keys()):
        counted = sums.get(name, 0)
        if counted != told[name]:
            yield f"USAGE: {counted} is summed as {name} and the results come to {told[name]}"


def _add_up(client: redis.Redis, keys: Keys, events: Collection[DoneEvent]) -> Counter[str]:
    told: Counter[str] = Counter()
    endings = iter({(event.id, event.epoch): event for event in events}.values())
    while batch := list(islice(endings, _PAGE)):
        texts: Any = client.mget([keys.result(event.id) for event in batch])
        for event, text in zip(batch, texts, strict=True):
            if text is not None:
                told.update(_amounts(event, Result.model_validate_json(text)))
    told["tenants"] = sum(name.endswith("/jobs") for name in told)
    return told


def _amounts(event: DoneEvent, result: Result) -> Mapping[str, int]:
    """Return what one result adds to the sums: nothing where a worker before 0.2 published it."""
    if result.usage is None:
        return {}
    owner = f"{event.stream.partition(':')[0]}/{result.tenant or ''}"
    parts = result.usage.sums().split()
    figures = dict(zip(parts[::2], map(int, parts[1::2]), strict=True))
    return {f"{owner}/{figure}": amount for figure, amount in ({"jobs": 1} | figures).items()}

"""How the jobs of one queue are divided among the pools of a service.

KEDA measures the whole queue for each pool. If every pool counted all of it, two pools would ask
for twice the pods. So pools take jobs in their order: each counts only those that are more than the
pools before it can take at their largest size. Together they ask for what one pool of their joint
size would ask for, and a single pool counts everything.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from whisperfleet_operator.resource.pools import Pool
from whisperfleet_operator.resource.service import TranscriptionService

__all__ = ["Share", "shares"]


@dataclass(frozen=True, slots=True)
class Share:
    """The jobs that a pool scales on: those of the queue beyond the first `above`."""

    above: int = 0

    def jobs(self, total: int) -> int:
        """Return how many of `total` jobs are the pool's."""
        return max(total - self.above, 0)

    def formula(self, lengths: Iterable[str]) -> str:
        """Return the same as KEDA computes it, from the names of the streams' lengths."""
        total = " + ".join(lengths)
        # The 0.0 is needed: where the integer 0 wins, KEDA refuses it as a result.
        return f"max({total} - {self.above}, 0.0)" if self.above else total


def shares(service: TranscriptionService) -> Iterator[tuple[Pool, Share]]:
    """Yield each pool with its share."""
    above = 0
    for pool in service.spec.pools:
        yield pool, Share(above)
        above += pool.replicas.max * service.spec_of(pool).backlog_per_replica

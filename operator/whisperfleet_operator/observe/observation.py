"""Everything that a status is made of."""

from dataclasses import dataclass

from whisperfleet_operator.kube import Object
from whisperfleet_operator.observe.keda import Keda
from whisperfleet_operator.queues import Sample
from whisperfleet_operator.resource import Reason
from whisperfleet_operator.resource.pools import Pool

__all__ = ["Observation", "PoolView", "Problem"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that a person has to mend: the message says what and how."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class PoolView:
    """A pool and what there is of it; `pods` without those that are on their way out."""

    pool: Pool
    deployment: Object | None
    scaled_object: Object | None
    pods: tuple[Object, ...]


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen after the plan had been carried out as far as it could be.

    Of the queue there is a `sample`, or a `queue_problem`, or neither while the first contact is
    under way. `problems` are those of carrying out the plan, the worst first. `contested` is what
    others make of the children. `overdue`: there is work, and KEDA should have asked for a pod long
    ago.
    """

    pools: tuple[PoolView, ...]
    keda: Keda
    sample: Sample | None
    queue_problem: Problem | None
    problems: tuple[Problem, ...]
    overdue: bool = False
    contested: tuple[Problem, ...] = ()

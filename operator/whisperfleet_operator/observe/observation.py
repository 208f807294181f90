"""Everything that a status is computed from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from whisperfleet_operator.kube import Object
from whisperfleet_operator.observe.keda import Keda
from whisperfleet_operator.plan import Share
from whisperfleet_operator.queues import Sample
from whisperfleet_operator.resource import Reason
from whisperfleet_operator.resource.pools import Pool

__all__ = ["Observation", "PoolView", "Problem", "Spell"]


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that a person has to repair: the message says what and how."""

    reason: Reason
    message: str


class Spell(Enum):
    """A state of one pool that may last for a while."""

    UNWOKEN = "work waits, and no pod is asked for"
    TOO_FEW = "more pods are wanted than are asked for, and none is added"
    AWAKE = "pods are asked for that nobody needs"
    UNMADE = "pods are asked for, and not made"
    UNNOTICED = "KEDA has yet to notice something"
    KEDA_TROUBLE = "KEDA cannot read the queue"
    HPA_TROUBLE = "the HorizontalPodAutoscaler does not scale"


@dataclass(frozen=True, slots=True)
class PoolView:
    """A pool and what there is of it; `pods` without those that are on their way out.

    `failed` are the pods that have ended and will not be started again. `hpas` are the
    HorizontalPodAutoscalers of its Deployment, KEDA's among them; None where they could not be
    read. `spells` says for how many seconds each state has lasted, as far as this operator saw.
    `woken` is when the operator woke the pool itself, if it just did. `share` says which of the
    queue's jobs are the pool's.
    """

    pool: Pool
    deployment: Object | None
    scaled_object: Object | None
    pods: tuple[Object, ...]
    failed: tuple[Object, ...] = ()
    hpas: tuple[Object, ...] | None = None
    spells: Mapping[Spell, float] = field(default_factory=dict)
    woken: datetime | None = None
    share: Share = field(default_factory=Share)

    @property
    def desired(self) -> int:
        """Pods that the autoscaler asks for."""
        return int((self.deployment or {}).get("spec", {}).get("replicas") or 0)


@dataclass(frozen=True, slots=True)
class Observation:
    """What was observed after the plan had been carried out as far as possible.

    Of the queue there is a `sample`, or a `queue_problem`, or neither while the first contact is
    under way. `problems` are those of carrying out the plan, the worst first. `conflicting` is what
    others make of the children. `former_tenants` were taken out of the spec, and jobs are in their
    streams.
    """

    pools: tuple[PoolView, ...]
    keda: Keda
    sample: Sample | None
    queue_problem: Problem | None
    problems: tuple[Problem, ...]
    conflicting: tuple[Problem, ...] = ()
    former_tenants: tuple[str, ...] = ()

    @property
    def jobs(self) -> int:
        """Jobs that have not ended; 0 where that is not known."""
        return self.sample.queued + self.sample.running if self.sample is not None else 0

    def jobs_of(self, view: PoolView) -> int:
        """Jobs that have not ended and that the pool scales on; 0 where that is not known."""
        return view.share.jobs(self.jobs)

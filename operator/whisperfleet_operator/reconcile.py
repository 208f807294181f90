"""One reconcile of one service: observe, plan, apply, say.

It depends on nothing but how things are now, so it may be called at any time, be killed anywhere in
between, and run beside another operator.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from pydantic import ValidationError

from whisperfleet_operator.apply import Applier
from whisperfleet_operator.cache import ObjectCache
from whisperfleet_operator.kube import Kube, KubeError, NotFoundError, Object, UnavailableError
from whisperfleet_operator.kube.kinds import (
    CHILD_KINDS,
    DEPLOYMENT,
    POD,
    SCALED_OBJECT,
    SERVICE,
    Kind,
)
from whisperfleet_operator.memory import ServiceMemories, ServiceMemory
from whisperfleet_operator.namespace_lease import NamespaceLease
from whisperfleet_operator.observe import (
    Keda,
    KedaWatch,
    Observation,
    PoolView,
    Problem,
    SecretReader,
    choose_credentials,
)
from whisperfleet_operator.observe.autoscalers import AutoscalerReader
from whisperfleet_operator.observe.children import (
    Children,
    OwnerTerminatingError,
    is_own,
    obstacles,
)
from whisperfleet_operator.observe.queue import QueueReader
from whisperfleet_operator.observe.spells import SpellWatch, seconds_left
from whisperfleet_operator.plan import (
    ChildRef,
    Observed,
    PolicyPorts,
    divide,
    make_plan,
    pull_needs,
    secret_needs,
    shares,
    template_needs,
    wanted_children,
)
from whisperfleet_operator.queues import QueueProbe, Sample
from whisperfleet_operator.reporting import Reporter
from whisperfleet_operator.resource import (
    Reason,
    TranscriptionService,
    TranscriptionServiceStatus,
)
from whisperfleet_operator.resource.names import child_name
from whisperfleet_operator.resource.patience import RECONCILE_SECONDS
from whisperfleet_operator.resource.pools import Pool
from whisperfleet_operator.status import (
    failed_status,
    invalid_status,
    parse_status,
    reconcile_disabled_status,
    service_status,
    waiting_status,
)
from whisperfleet_operator.status.pods import cannot_pull
from whisperfleet_operator.waking import Waker
from whisperfleet_operator.work_queue import Key
from whisperfleet_operator.write_conflicts import WriteConflicts

__all__ = ["Reconciler"]

_RESYNC_SECONDS = 300.0
# While it is not known whether the queue's server lives.
_SOON_SECONDS = 1.0
# An error that lasts so long does not pass by itself.
_LASTING_SECONDS = 10.0

_FIRST = Problem(Reason.PENDING, "not looked at yet")


class Reconciler:
    """Reconciles services: one thread at a time for a service, any number of services at once."""

    def __init__(
        self,
        kube: Kube,
        cache: ObjectCache,
        probe: QueueProbe,
        keda: KedaWatch,
        memories: ServiceMemories,
        cluster_id: str,
        release: str,
        ports: PolicyPorts,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kube = kube
        self._cache = cache
        self._keda = keda
        self._memories = memories
        self._clock = clock
        self._children = Children(kube, cache)
        self._secrets = SecretReader(kube, clock)
        self._spells = SpellWatch(AutoscalerReader(kube, clock), self._children, clock)
        self._waker = Waker(kube, cache, clock)
        self._queues = QueueReader(probe, cluster_id, clock)
        self._namespace_lease = NamespaceLease(kube, release, clock)
        self._ports = ports
        self._reporter = Reporter(kube, cache, memories, monotonic=clock)

    def reconcile(self, key: Key) -> float | None:
        """Bring the service `key` to its wanted state.

        Return in how many seconds to reconcile again; None where the service is gone. Raises
        KubeError where the API server does not answer, and OwnerTerminatingError while an earlier
        service of that name is still being deleted.
        """
        resource = self._resource(key)
        if resource is None or "deletionTimestamp" in resource["metadata"]:
            self._memories.forget(key)
            return None
        standing = self._namespace_lease.standing(resource)
        if standing.other is not None:
            self._memories.leave(key)
            if standing.answered:
                self._reporter.leave_to(resource, standing.other, self._namespace_lease.release)
            return standing.again_seconds
        return self._reconcile(key, resource)

    def _reconcile(self, key: Key, resource: Object) -> float:
        memory, before = self._memories.of(key), parse_status(resource)
        now = datetime.now(UTC)
        try:
            service = TranscriptionService.from_object(resource)
        except ValidationError as error:
            generation = resource["metadata"]["generation"]
            after = invalid_status(generation, _first_line(error), before, now)
            return self._reporter.report(resource, before, after) or self._until_resync(memory)
        if service.is_reconcile_disabled:
            after = reconcile_disabled_status(service, before, now)
            return self._reporter.report(resource, before, after) or self._until_resync(memory)
        service = service.serving(service.former_tenants_of(before))
        is_new = before.observed_generation is None
        try:
            self._refresh(memory, key, is_new=is_new)
            seen = self._bring_about(memory, service)
            seen = self._spells.complete(memory, service, seen, before)
            seen = self._waker.wake(memory, service, seen, now)
        except (KubeError, OwnerTerminatingError) as error:
            self._report_failure(memory, error, service, resource, before, now)
            raise
        memory.failing_since = None
        after = service_status(service, seen, before, now)
        held_seconds = self._reporter.report(resource, before, after)
        # Apart from each other, however they began.
        pause = RECONCILE_SECONDS * random.uniform(0.9, 1.0)  # noqa: S311
        if not _is_settled(seen):
            pause = _SOON_SECONDS
        # What lasts too long is said when it does, and not at the reconcile after.
        return min(held_seconds or pause, pause, max(_SOON_SECONDS, seconds_left(service, seen)))

    def _resource(self, key: Key) -> Object | None:
        cached = self._cache.get(SERVICE, *key)
        due = self._memories.of(key).resync_due
        if cached is not None and (due is None or self._clock() < due):
            return cached
        resource: Object | None
        try:
            resource = self._kube.get(SERVICE, *key)
        except NotFoundError:
            if cached is None:
                return None
            # An API server that has just started may not know the kind yet: then this raises.
            listed = self._kube.list(SERVICE, key[0], "")
            resource = next((each for each in listed if each["metadata"]["name"] == key[1]), None)
            if resource is None:
                self._cache.saw_deleted(cached)
                return None
        self._cache.saw(resource)
        return resource

    def _until_resync(self, memory: ServiceMemory) -> float:
        if memory.resync_due is None:
            memory.resync_due = self._clock() + _RESYNC_SECONDS
        return _RESYNC_SECONDS

    def _report_failure(
        self,
        memory: ServiceMemory,
        error: KubeError | OwnerTerminatingError,
        service: TranscriptionService,
        resource: Object,
        before: TranscriptionServiceStatus,
        now: datetime,
    ) -> None:
        """Say why a reconcile came to nothing, if it is worth saying."""
        clock = self._clock()
        if memory.failing_since is None:
            memory.failing_since = clock
        lasts = clock - memory.failing_since >= _LASTING_SECONDS
        if isinstance(error, OwnerTerminatingError):
            problem = Problem(Reason.PREDECESSOR_LEAVING, str(error))
            make_status = failed_status if lasts else waiting_status
        elif lasts and not isinstance(error, UnavailableError):
            problem = Problem(
                Reason.API_SERVER_ERROR,
                f"the API server fails to do what it is asked, again and again: {error}; check "
                "the operator's rights, and webhooks that the message names",
            )
            make_status = failed_status
        elif before.observed_generation is None:
            problem, make_status = _FIRST, waiting_status
        else:
            return
        with suppress(KubeError):
            self._reporter.report(resource, before, make_status(service, problem, before, now))

    def _refresh(self, memory: ServiceMemory, key: Key, *, is_new: bool) -> None:
        """Read anew what a broken watch may have missed.

        At first sight that is the pods alone, and of a service that nobody has reconciled before
        there are none.
        """
        due = memory.resync_due
        if due is None:
            self._children.refresh(key, [] if is_new else [POD])
        elif self._clock() >= due:
            self._children.refresh(key, [POD, *CHILD_KINDS])
        else:
            return
        memory.resync_due = self._clock() + _RESYNC_SECONDS

    def _bring_about(self, memory: ServiceMemory, service: TranscriptionService) -> Observation:
        """Do for the service what can be done, and return how it is then.

        What lacks something, has its name taken or fails does not hold up the rest;
        OwnerTerminatingError and what the API server failed in are raised at the end.
        """
        keda = self._keda.state()
        secrets = self._secrets.read(service.namespace, secret_needs(service.spec.queue.redis))
        sample, queue_problem = self._queues.read(memory, service, secrets)
        if sample is not None:
            service = service.serving(service.former_tenants_with_jobs(sample.lengths))
        live, name_conflicts = self._live(service, keda)
        taken, terminating = obstacles(service, name_conflicts)
        credentials = {
            pool.name: choose_credentials(
                memory.pool(pool.name),
                secrets,
                live.get(_ref(DEPLOYMENT, service, pool)),
                accepted=sample is not None,
            )
            for pool in service.spec.pools
        }
        plan = make_plan(service, Observed(frozenset(live), credentials, self._ports))
        parts = divide(plan, live, name_conflicts, keda=keda.has_kinds, streams=sample is not None)
        conflicts = WriteConflicts(memory.writes, self._clock)
        applier = Applier(self._kube, self._cache, conflicts, live)
        applier.carry_out(parts)
        if any(isinstance(failure, NotFoundError) for failure in applier.failures):
            # KEDA's kinds went a moment ago: the next reconcile, which comes soon, will know.
            self._keda.invalidate()
        for failure in (*applier.failures, terminating):
            if failure is not None:
                raise failure
        problems = [*taken, *secrets.problems, *self._lacking(service), *applier.problems]
        seen = self._seen(service, applier.live, keda, sample, queue_problem, problems)
        return replace(
            seen,
            conflicting=tuple(applier.conflicting),
            former_tenants=service.former_tenants,
        )

    def _live(
        self, service: TranscriptionService, keda: Keda
    ) -> tuple[dict[ChildRef, Object], dict[ChildRef, Object]]:
        """Return the service's own children, and what others have under names of such."""
        wanted = wanted_children(service)
        found = self._children.find(
            service.namespace, (ref for ref in wanted if keda.has_kinds or not ref.is_kedas)
        )
        name_conflicts = {ref: obj for ref, obj in found.items() if not is_own(obj, service)}
        own = {ref: obj for ref, obj in found.items() if ref not in name_conflicts}
        return own | self._children.owned(service), name_conflicts

    def _lacking(self, service: TranscriptionService) -> tuple[Problem, ...]:
        """Return what the pools' templates name and nobody has made."""
        needs = list(template_needs(service))
        for pool in service.spec.pools:
            # Where an image can be had without it, the Secret of a registry is not needed.
            if any(map(cannot_pull, self._children.pods(service, pool.name))):
                needs += pull_needs(pool)
        return self._secrets.lacking(service.namespace, needs)

    def _seen(
        self,
        service: TranscriptionService,
        live: Mapping[ChildRef, Object],
        keda: Keda,
        sample: Sample | None,
        queue_problem: Problem | None,
        problems: Sequence[Problem],
    ) -> Observation:
        views = (
            PoolView(
                pool,
                live.get(_ref(DEPLOYMENT, service, pool)),
                live.get(_ref(SCALED_OBJECT, service, pool)),
                self._children.pods(service, pool.name),
                share=share,
            )
            for pool, share in shares(service)
        )
        return Observation(tuple(views), keda, sample, queue_problem, tuple(problems))


def _ref(kind: Kind, service: TranscriptionService, pool: Pool) -> ChildRef:
    return ChildRef(kind.api_version, kind.name, child_name(service.name, pool.name))


def _is_settled(seen: Observation) -> bool:
    """Whether it is known how KEDA and the queue are, and not only that nobody has answered yet."""
    knows_queue = seen.sample is not None or seen.queue_problem is not None
    return knows_queue and seen.keda is not Keda.UNKNOWN


def _first_line(error: ValidationError) -> str:
    """Return where the first mistake is and what it is."""
    mistake = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, mistake['loc']))}: {mistake['msg']}"

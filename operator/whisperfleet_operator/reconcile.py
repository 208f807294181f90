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
from whisperfleet_operator.kube.kinds import CHILD_KINDS, DEPLOYMENT, POD, SCALED_OBJECT, SERVICE
from whisperfleet_operator.namespace_lease import NamespaceLease
from whisperfleet_operator.observe import (
    CredentialsMemory,
    Keda,
    KedaWatch,
    Observation,
    PoolView,
    Problem,
    SecretReader,
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
    template_needs,
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
from whisperfleet_operator.service_metrics import ServiceMetricsCollector
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
        service_metrics: ServiceMetricsCollector,
        cluster_id: str,
        release: str,
        ports: PolicyPorts,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kube = kube
        self._cache = cache
        self._keda = keda
        self._service_metrics = service_metrics
        self._clock = clock
        self._children = Children(kube, cache)
        self._secrets = SecretReader(kube, clock)
        self._credentials = CredentialsMemory()
        self._spells = SpellWatch(AutoscalerReader(kube, clock), self._children, clock)
        self._waker = Waker(kube, cache, clock)
        self._queues = QueueReader(probe, cluster_id, clock)
        self._namespace_lease = NamespaceLease(kube, release, clock)
        self._ports = ports
        self._write_conflicts = WriteConflicts(clock)
        self._reporter = Reporter(kube, cache, service_metrics, monotonic=clock)
        self._resync_due: dict[Key, float] = {}
        self._failing_since: dict[Key, float] = {}

    def reconcile(self, key: Key) -> float | None:
        """Bring the service `key` to its wanted state.

        Return in how many seconds to reconcile again; None where the service is gone. Raises
        KubeError where the API server does not answer, and OwnerTerminatingError while an earlier
        service of that name is still being deleted.
        """
        resource = self._resource(key)
        if resource is None or "deletionTimestamp" in resource["metadata"]:
            self._forget(key)
            return None
        standing = self._namespace_lease.standing(resource)
        if standing.other is not None:
            self._forget(key)
            if standing.answered:
                self._reporter.leave_to(resource, standing.other, self._namespace_lease.release)
            return standing.again_seconds
        return self._reconcile(key, resource)

    def _reconcile(self, key: Key, resource: Object) -> float:
        before = parse_status(resource)
        now = datetime.now(UTC)
        try:
            service = TranscriptionService.from_object(resource)
        except ValidationError as error:
            generation = resource["metadata"]["generation"]
            after = invalid_status(generation, _first_line(error), before, now)
            return self._reporter.report(resource, before, after) or self._until_resync(key)
        if service.is_reconcile_disabled:
            after = reconcile_disabled_status(service, before, now)
            return self._reporter.report(resource, before, after) or self._until_resync(key)
        service = service.serving(service.former_tenants_of(before))
        is_new = before.observed_generation is None
        try:
            self._refresh(key, is_new=is_new)
            seen = self._spells.complete(service, self._bring_about(service), before)
            seen = self._waker.wake(service, seen, now)
        except (KubeError, OwnerTerminatingError) as error:
            self._report_failure(error, service, resource, before, now)
            raise
        self._failing_since.pop(key, None)
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
        if cached is not None and self._clock() < self._resync_due.get(key, float("inf")):
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

    def _until_resync(self, key: Key) -> float:
        self._resync_due.setdefault(key, self._clock() + _RESYNC_SECONDS)
        return _RESYNC_SECONDS

    def _report_failure(
        self,
        error: KubeError | OwnerTerminatingError,
        service: TranscriptionService,
        resource: Object,
        before: TranscriptionServiceStatus,
        now: datetime,
    ) -> None:
        """Say why a reconcile came to nothing, if it is worth saying."""
        clock = self._clock()
        since = self._failing_since.setdefault((service.namespace, service.name), clock)
        lasts = clock - since >= _LASTING_SECONDS
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

    def _forget(self, key: Key) -> None:
        self._resync_due.pop(key, None)
        self._failing_since.pop(key, None)
        self._queues.forget(key)
        self._credentials.forget(key)
        self._spells.forget(key)
        self._waker.forget(key)
        self._write_conflicts.forget(key)
        self._reporter.forget(key)
        self._service_metrics.forget(key)

    def _refresh(self, key: Key, *, is_new: bool) -> None:
        """Read anew what a broken watch may have missed.

        At first sight that is the pods alone, and of a service that nobody has reconciled before
        there are none.
        """
        due = self._resync_due.get(key)
        if due is None:
            self._children.refresh(key, [] if is_new else [POD])
        elif self._clock() >= due:
            self._children.refresh(key, [POD, *CHILD_KINDS])
        else:
            return
        self._resync_due[key] = self._clock() + _RESYNC_SECONDS

    def _bring_about(self, service: TranscriptionService) -> Observation:
        """Do for the service what can be done, and return how it is then.

        What lacks something, has its name taken or fails does not hold up the rest;
        OwnerTerminatingError and what the API server failed in are raised at the end.
        """
        key = (service.namespace, service.name)
        keda = self._keda.state()
        secrets = self._secrets.read(service.namespace, secret_needs(service.spec.queue.redis))
        sample, queue_problem = self._queues.read(service, secrets)
        if sample is not None:
            service = service.serving(service.former_tenants_with_jobs(sample.lengths))
        live, name_conflicts = self._live(service, keda)
        taken, terminating = obstacles(service, name_conflicts)
        credentials = self._credentials.choose(key, secrets, live, accepted=sample is not None)
        plan = make_plan(service, Observed(frozenset(live), *credentials, self._ports))
        parts = divide(plan, live, name_conflicts, keda=keda.has_kinds, streams=sample is not None)
        applier = Applier(self._kube, self._cache, self._write_conflicts, key, live)
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
        # Which children there may be does not depend on what there is.
        wanted = make_plan(service, Observed()).wanted
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
        views = []
        for pool in service.spec.pools:
            name = child_name(service.name, pool.name)
            views.append(
                PoolView(
                    pool,
                    live.get(ChildRef(DEPLOYMENT.api_version, DEPLOYMENT.name, name)),
                    live.get(ChildRef(SCALED_OBJECT.api_version, SCALED_OBJECT.name, name)),
                    self._children.pods(service, pool.name),
                )
            )
        return Observation(tuple(views), keda, sample, queue_problem, tuple(problems))


def _is_settled(seen: Observation) -> bool:
    """Whether it is known how KEDA and the queue are, and not only that nobody has answered yet."""
    knows_queue = seen.sample is not None or seen.queue_problem is not None
    return knows_queue and seen.keda is not Keda.UNKNOWN


def _first_line(error: ValidationError) -> str:
    """Return where the first mistake is and what it is."""
    mistake = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, mistake['loc']))}: {mistake['msg']}"

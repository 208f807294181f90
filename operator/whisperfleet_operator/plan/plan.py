"""From a service and what is there to what there should be."""

from whisperfleet_operator.plan.actions import ChildRef, Observed, Plan
from whisperfleet_operator.plan.autoscaling import scaled_object, trigger_authentication
from whisperfleet_operator.plan.deployment import deployment, empty_deployment
from whisperfleet_operator.plan.protection import (
    disruption_budget,
    network_policy,
    service_account,
)
from whisperfleet_operator.resource.service import TranscriptionService

__all__ = ["make_plan"]


def make_plan(service: TranscriptionService, observed: Observed) -> Plan:
    """Return what there should be for `service`."""
    apply = tuple(
        manifest
        for pool in service.spec.pools
        for manifest in (
            service_account(service, pool),
            network_policy(service, pool, observed.ports),
            disruption_budget(service, pool),
            deployment(service, pool, observed),
        )
    )
    autoscale = tuple(
        manifest
        for pool in service.spec.pools
        for manifest in (trigger_authentication(service, pool), scaled_object(service, pool))
        if manifest is not None
    )
    wanted = {ChildRef.of(manifest) for manifest in (*apply, *autoscale)}
    births = (empty_deployment(service, pool) for pool in service.spec.pools)
    return Plan(
        create=tuple(birth for birth in births if ChildRef.of(birth) not in observed.children),
        apply=apply,
        autoscale=autoscale,
        delete=tuple(sorted(observed.children - wanted)),
    )

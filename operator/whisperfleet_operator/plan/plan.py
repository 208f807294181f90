"""From a service and what is there to what there should be."""

from typing import Final

from whisperfleet_operator.plan.actions import ChildRef, Credentials, Observed, Plan
from whisperfleet_operator.plan.autoscaling import scaled_object, trigger_authentication
from whisperfleet_operator.plan.deployment import deployment, empty_deployment
from whisperfleet_operator.plan.needs import secret_needs
from whisperfleet_operator.plan.protection import (
    disruption_budget,
    network_policy,
    service_account,
)
from whisperfleet_operator.plan.shares import shares
from whisperfleet_operator.resource.names import child_name
from whisperfleet_operator.resource.service import TranscriptionService

__all__ = ["make_plan", "wanted_children"]

_KINDS: Final = (
    ("v1", "ServiceAccount"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("policy/v1", "PodDisruptionBudget"),
    ("apps/v1", "Deployment"),
    ("keda.sh/v1alpha1", "ScaledObject"),
)
# Only where Redis asks for credentials.
_AUTHENTICATION: Final = ("keda.sh/v1alpha1", "TriggerAuthentication")


def make_plan(service: TranscriptionService, observed: Observed) -> Plan:
    """Return what there should be for `service`, for all its pools together."""
    pools = [(pool, service.for_pool(pool)) for pool in service.spec.pools]
    apply = tuple(
        manifest
        for pool, own in pools
        for manifest in (
            service_account(own, pool),
            network_policy(own, pool, observed.ports),
            disruption_budget(own, pool),
            deployment(own, pool, observed.credentials.get(pool.name, Credentials())),
        )
    )
    autoscale = tuple(
        manifest
        for pool, share in shares(service)
        for manifest in (
            trigger_authentication(service.for_pool(pool), pool),
            scaled_object(service.for_pool(pool), pool, share),
        )
        if manifest is not None
    )
    births = (empty_deployment(own, pool) for pool, own in pools)
    return Plan(
        create=tuple(birth for birth in births if ChildRef.of(birth) not in observed.children),
        apply=apply,
        autoscale=autoscale,
        delete=tuple(sorted(observed.children - wanted_children(service))),
    )


def wanted_children(service: TranscriptionService) -> frozenset[ChildRef]:
    """Return the children that there should be; that depends on nothing but the service."""
    return frozenset(
        ChildRef(*kind, child_name(service.name, pool.name))
        for pool in service.spec.pools
        for kind in (
            *_KINDS,
            *([_AUTHENTICATION] if secret_needs(service.spec_of(pool).queue.redis) else []),
        )
    )

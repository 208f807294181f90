"""What kopf calls: decorators, and one delegating call each.

Level-triggered: an event only says which service to reconcile. No handler here makes kopf write
anything, so there is no finalizer and no annotation of its own.
"""

from typing import Any

import kopf

from whisperfleet_operator.resource.names import GROUP, PLURAL, VERSION

__all__: list[str] = []


@kopf.on.startup()
async def configure(settings: kopf.OperatorSettings, memo: Any, **_: Any) -> None:
    """Set kopf up before anything is watched."""
    memo.event_sink.configure(settings)


@kopf.on.event(GROUP, VERSION, PLURAL)
async def service(event: Any, memo: Any, **_: Any) -> None:
    """Pass on that a service was seen, changed or deleted."""
    memo.event_sink.service(event)


@kopf.on.event("apps", "v1", "deployments")
@kopf.on.event("keda.sh", "v1alpha1", "scaledobjects")
@kopf.on.event("keda.sh", "v1alpha1", "triggerauthentications")
@kopf.on.event("policy", "v1", "poddisruptionbudgets")
@kopf.on.event("v1", "serviceaccounts")
@kopf.on.event("networking.k8s.io", "v1", "networkpolicies")
@kopf.on.event("v1", "pods")
async def child(event: Any, memo: Any, **_: Any) -> None:
    """Pass on that a child of a service, or a pod of one, was seen, changed or deleted."""
    memo.event_sink.child(event)

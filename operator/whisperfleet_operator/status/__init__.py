"""From what was seen to what is said: pure functions, from an observation to the status."""

from whisperfleet_operator.status.conditions import (
    failed_status,
    invalid_status,
    parse_status,
    reconcile_disabled_status,
    service_status,
    waiting_status,
)
from whisperfleet_operator.status.events import ServiceEvent, events_between

__all__ = [
    "ServiceEvent",
    "events_between",
    "failed_status",
    "invalid_status",
    "parse_status",
    "reconcile_disabled_status",
    "service_status",
    "waiting_status",
]

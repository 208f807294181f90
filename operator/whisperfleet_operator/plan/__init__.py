"""What a service asks of the cluster and of Redis, worked out without talking to either.

`make_plan` is the only way in; each kind of child has one builder beside it.
"""

from whisperfleet_operator.plan.actions import ChildRef, Manifest, Observed, Plan
from whisperfleet_operator.plan.needs import SecretNeed, secret_needs
from whisperfleet_operator.plan.plan import make_plan

__all__ = [
    "ChildRef",
    "Manifest",
    "Observed",
    "Plan",
    "SecretNeed",
    "make_plan",
    "secret_needs",
]

"""What a service asks of the cluster and of Redis, worked out without talking to either.

`make_plan` is the only way in; each kind of child has one builder beside it.
"""

from whisperfleet_operator.plan.actions import (
    ChildRef,
    Credentials,
    Manifest,
    Observed,
    Plan,
    PolicyPorts,
)
from whisperfleet_operator.plan.needs import (
    SecretNeed,
    pull_needs,
    secret_needs,
    template_needs,
)
from whisperfleet_operator.plan.parts import Parts, divide
from whisperfleet_operator.plan.plan import make_plan, wanted_children
from whisperfleet_operator.plan.shares import Share, shares

__all__ = [
    "ChildRef",
    "Credentials",
    "Manifest",
    "Observed",
    "Parts",
    "Plan",
    "PolicyPorts",
    "SecretNeed",
    "Share",
    "divide",
    "make_plan",
    "pull_needs",
    "secret_needs",
    "shares",
    "template_needs",
    "wanted_children",
]

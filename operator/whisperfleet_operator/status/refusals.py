"""What the API server refuses, and which field to set so that it does not."""

import re

from whisperfleet_operator.kube import KubeError
from whisperfleet_operator.observe import Problem
from whisperfleet_operator.plan import ChildRef
from whisperfleet_operator.resource import Reason

__all__ = ["pod_refusal", "refusal"]

_RESOURCES = "spec.worker.resources"
_EXCEEDED = re.compile(r"exceeded quota: ([^,\s]+)(?:, requested: (\S+?)(?:, used|$))?")
_MUST_SPECIFY = re.compile(r"failed quota: (\S+): must specify (.+)")
# `limits.memory for: worker; requests.cpu for: worker`
_AMOUNT = re.compile(r"((?:limits|requests)\.\S+|cpu|memory)(?= for:|[;,]|$)")
_BOUND = re.compile(r"(minimum|maximum) (\S+) usage per (\S+) is (\S+?)(?:,|\. )(?: but)?([^,\]]*)")
_RATIO = re.compile(r"(\S+) max limit to request ratio per \S+ is (\S+?),")
_NO_RIGHT = re.compile(r"cannot \S+ resource")


def refusal(ref: ChildRef, error: KubeError) -> Problem:
    """Return what there is to say of a child that the API server does not take."""
    said = error.reason
    if quota := _EXCEEDED.search(said):
        return Problem(
            Reason.QUOTA_EXCEEDED,
            f"the ResourceQuota {quota[1]} of the namespace forbids the {ref.kind} {ref.name}: "
            f"raise {_names(quota[2])} ({said})",
        )
    what = f"the API server refuses the {ref.kind} {ref.name}"
    if _NO_RIGHT.search(said):
        remedy = "the operator's role lacks a right: upgrade the whole chart"
    elif "field is immutable" in said:
        remedy = f"a field of it can never change: delete it ({ref.name}), and it is made anew"
    else:
        remedy = "correct the field of the spec that it comes from, or the policy that is named"
    return Problem(Reason.APPLY_REFUSED, f"{what}: {said}; {remedy}")


def pod_refusal(said: str) -> Problem:
    """Return what there is to say of pods that may not even be made."""
    if quota := _EXCEEDED.search(said):
        return Problem(
            Reason.QUOTA_EXCEEDED,
            f"the ResourceQuota {quota[1]} of the namespace forbids more pods: raise "
            f"{_names(quota[2])}, or lower {_or_lower(quota[2])}replicas.max ({said})",
        )
    if quota := _MUST_SPECIFY.search(said):
        fields = " and ".join(_field(amount) for amount in dict.fromkeys(_AMOUNT.findall(quota[2])))
        return Problem(
            Reason.POD_REFUSED,
            f"the ResourceQuota {quota[1]} of the namespace takes only pods that say what they "
            f"use: set {fields} ({said})",
        )
    if remedies := [*map(_within, _BOUND.findall(said)), *map(_closer, _RATIO.findall(said))]:
        return Problem(
            Reason.POD_REFUSED,
            f"a LimitRange of the namespace refuses the pods: set {' and '.join(remedies)}, or "
            f"change the LimitRange ({said})",
        )
    return Problem(
        Reason.POD_REFUSED,
        f"the cluster refuses the pods: {said}; change what it names in the pool's template or in "
        f"{_RESOURCES}, or the policy that refuses it",
    )


def _names(amounts: str | None) -> str:
    """Return the names in `limits.memory=8Gi,pods=1`, for a sentence."""
    names = [amount.partition("=")[0] for amount in (amounts or "").split(",") if amount]
    return f"its {' and '.join(names)}" if names else "it"


def _or_lower(amounts: str | None) -> str:
    names = (amount.partition("=")[0] for amount in (amounts or "").split(",") if amount)
    fields = [_field(name) for name in names if not name.startswith(("pods", "count/"))]
    return "".join(f"{field} or " for field in fields)


def _field(amount: str) -> str:
    """Return the field of the spec for what a quota calls `limits.memory`, or `cpu`."""
    return f"{_RESOURCES}.{amount if '.' in amount else f'requests.{amount}'}"


def _within(bound: tuple[str, str, str, str, str]) -> str:
    kind, resource, _, amount, given = bound
    # What is bounded from above is the limit unless the message speaks of the request.
    part = "requests" if "request" in given.lower() else "limits"
    return (
        f"{_RESOURCES}.{part}.{resource} to at {'least' if kind == 'minimum' else 'most'} {amount}"
    )


def _closer(ratio: tuple[str, str]) -> str:
    resource, most = ratio
    return (
        f"both {_RESOURCES}.requests.{resource} and {_RESOURCES}.limits.{resource}, the limit at "
        f"most {most} times the request"
    )

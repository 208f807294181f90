"""What a condition says, before it is dated."""

from dataclasses import dataclass
from typing import Self

from whisperfleet_operator.observe import Problem
from whisperfleet_operator.resource import ConditionStatus, Reason

__all__ = ["ConditionState"]


@dataclass(frozen=True, slots=True)
class ConditionState:
    """A condition's status, its reason for programs and its message for people."""

    status: ConditionStatus
    reason: Reason
    message: str

    @classmethod
    def of(cls, status: ConditionStatus, problem: Problem) -> Self:
        """Return what a problem makes of a condition."""
        return cls(status, problem.reason, problem.message)

"""The resource `whisperfleet.io/v1alpha1` TranscriptionService, as values.

`service` is what an applied object says, `status` what the operator answers, `conditions` the words
of that answer, `names` what everything is called, `crd` the schema that the API server checks with.
"""

from whisperfleet_operator.resource.conditions import ConditionStatus, ConditionType, Reason
from whisperfleet_operator.resource.service import TranscriptionService
from whisperfleet_operator.resource.spec import TranscriptionServiceSpec
from whisperfleet_operator.resource.status import Condition, TranscriptionServiceStatus

__all__ = [
    "Condition",
    "ConditionStatus",
    "ConditionType",
    "Reason",
    "TranscriptionService",
    "TranscriptionServiceSpec",
    "TranscriptionServiceStatus",
]

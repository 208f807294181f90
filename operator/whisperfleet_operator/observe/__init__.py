"""What there is: the children, the pods, the Secrets, KEDA and the queue, in one moment."""

from whisperfleet_operator.observe.credentials import choose_credentials
from whisperfleet_operator.observe.keda import Keda, KedaWatch
from whisperfleet_operator.observe.observation import Observation, PoolView, Problem, Spell
from whisperfleet_operator.observe.secrets import SecretReader, Secrets

__all__ = [
    "Keda",
    "KedaWatch",
    "Observation",
    "PoolView",
    "Problem",
    "SecretReader",
    "Secrets",
    "Spell",
    "choose_credentials",
]

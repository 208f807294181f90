"""Every setting of a worker, declared once (ADR 19).

What shows a setting is made from these: the options of `whisperfleet worker`, the variables, the
fields of the TranscriptionService and the reference.
"""

from typing import Final

from whisperfleet.settings.declare import REQUIRED, Setting, SpecField, settings_in
from whisperfleet.settings.engine import Device, EngineName, EngineSettings
from whisperfleet.settings.input import InputSettings
from whisperfleet.settings.queue import QueuePolicy, QueueSettings
from whisperfleet.settings.recognition import RecognitionSettings
from whisperfleet.settings.worker import (
    BATCHES_IN_FLIGHT,
    OWN_IN_FLIGHT,
    LoadSettings,
    ProcessSettings,
)

__all__ = [
    "BATCHES_IN_FLIGHT",
    "OWN_IN_FLIGHT",
    "REQUIRED",
    "SETTINGS",
    "Device",
    "EngineName",
    "EngineSettings",
    "InputSettings",
    "LoadSettings",
    "ProcessSettings",
    "QueuePolicy",
    "QueueSettings",
    "RecognitionSettings",
    "Setting",
    "SpecField",
    "settings_in",
]

_GROUPS: Final = (
    EngineSettings,
    RecognitionSettings,
    InputSettings,
    LoadSettings,
    QueueSettings,
    QueuePolicy,
    ProcessSettings,
)

SETTINGS: Final[tuple[Setting, ...]] = tuple(
    setting for group in _GROUPS for setting in settings_in(group)
)
"""All settings, in the order in which a person is told of them. Their names are unique."""

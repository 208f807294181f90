"""The fields of the spec that are a worker's settings, made from their declarations.

`whisperfleet.settings` says what each is, its bounds and its default (ADR 19).
"""

import re
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, Field, create_model

from whisperfleet.settings import SETTINGS, Setting, SpecField

__all__ = ["RESERVED_ENV", "declared", "set_in", "text_of", "with_settings"]

_PREFIX: Final = "WHISPERFLEET_"
# What the operator sets beside the settings: where the queue is, who the pod is to it, and which.
_REFERENCES: Final = (
    "POD_UID",
    "QUEUE",
    "REDIS",
    "REDIS_CA_FILE",
    "REDIS_PASSWORD",
    "REDIS_USERNAME",
)
_MAX_TEXT: Final = 253

_FIELDS: Final[Mapping[str, tuple[Setting, SpecField]]] = {
    setting.spec.path: (setting, setting.spec) for setting in SETTINGS if setting.spec is not None
}

RESERVED_ENV: Final = tuple(
    sorted(
        [setting.variable for setting in SETTINGS if setting.is_reserved]
        + [f"{_PREFIX}{name}" for name in _REFERENCES]
    )
)
"""The variables that the operator sets, so that `template.env` may not. Everything else that a
worker understands, such as WHISPERFLEET_LOG_LEVEL, may be set there."""

_Part = TypeVar("_Part", bound=BaseModel)


def declared(path: str, make: Callable[[Any], Any] | None = None, **constraints: Any) -> Any:
    """Return the field of a Part for the setting that is declared for this path of the spec.

    `make` turns the worker's default into the form that the spec has it in. `constraints` are
    further arguments of pydantic's Field.
    """
    setting, field = _FIELDS[path]
    default, description = None, setting.text
    if field.stored:
        default = _whole(setting.default) if make is None else make(setting.default)
    elif setting.default == ():
        default = ()
    else:
        absent = field.absent or setting.zero or setting.write(setting.default)
        description += f" Absent: {absent}."
    return Field(
        default=default, description=description, ge=field.least, le=field.most, **constraints
    )


def with_settings(part: str) -> Callable[[type[_Part]], type[_Part]]:
    """Return the decorator of the Part at this path, which gives it what is declared for it.

    What the Part says itself stays as it is. Raises TypeError for a setting that has no plain form.
    """

    def join(model: type[_Part]) -> type[_Part]:
        missing = {
            name: (_plain_type(setting) | None, declared(path))
            for path, (setting, _) in _FIELDS.items()
            if path.rpartition(".")[0] == part
            and (name := _snake(path.rpartition(".")[2])) not in model.model_fields
        }
        if not missing:
            return model
        fields: dict[str, Any] = dict(missing)
        return create_model(
            model.__name__,
            __base__=model,
            __module__=model.__module__,
            __doc__=model.__doc__,
            **fields,
        )

    return join


def set_in(spec: BaseModel) -> Iterator[tuple[Setting, Any]]:
    """Yield each setting that the spec sets, with its value, in the order of their declarations.

    The worker's default, written out, is the same as none, and rolls no pods. It is yielded where
    it is `stored` in every object, or where none means something else.
    """
    for path, (setting, field) in _FIELDS.items():
        value: Any = spec
        for step in path.split("."):
            value = None if value is None else getattr(value, _snake(step))
        is_said = field.stored or field.absent or value != setting.default
        if value is not None and is_said:
            yield setting, value


def text_of(setting: Setting, value: Any) -> str:
    """Return the variable's value for what the spec has, where a choice may be capitalised."""
    return value.lower() if isinstance(value, StrEnum) else setting.write(value)


def _plain_type(setting: Setting) -> Any:
    """Return the type in the spec, where numbers are whole and texts bounded."""
    if setting.form is not None:
        raise TypeError(f"{setting.name} is no plain value: name its field in its Part")
    if setting.kind in {int, float}:
        return int
    return Annotated[str, Field(max_length=_MAX_TEXT)] if setting.kind is str else setting.kind


def _whole(default: Any) -> Any:
    return int(default) if isinstance(default, float) else default


def _snake(name: str) -> str:
    return re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name)

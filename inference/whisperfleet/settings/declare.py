"""How a setting is declared: once, and everything that shows it is made from the declaration.

A group of settings is a frozen dataclass. A field with `setting(...)` as its metadata is an option
of `whisperfleet worker` and an environment variable; with `spec` it is a field of the
TranscriptionService as well. Command line, CRD, reserved names, pods and reference are made from
`Setting`, so that none of them has a default or a bound of its own.
"""

from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any, Final, get_type_hints

from whisperfleet.contract.times import check_seconds

__all__ = ["REQUIRED", "Setting", "SpecField", "TextForm", "check", "setting", "settings_in"]

REQUIRED: Final = ...
"""The default of a setting that has none."""

_PREFIX: Final = "WHISPERFLEET_"
_KEY: Final = "whisperfleet.setting"
# Far below where Lua's numbers lose their last digit.
_MOST: Final = 10**9


@dataclass(frozen=True, slots=True)
class SpecField:
    """Where the spec of a TranscriptionService has a setting, and what may stand there.

    `path` is such as ``worker.drainSeconds``. `least` and `most` are its bounds, in whole numbers.
    `absent` says what its absence means where that is not the worker's default. `stored` makes the
    API server write the default into every object, and so the operator into every pod, as 0.1.0 did
    for all; without it only a service that sets the field has the variable, so that a setting that
    is added replaces no pods.
    """

    path: str
    least: int | None = None
    most: int | None = None
    absent: str = ""
    stored: bool = False


@dataclass(frozen=True, slots=True)
class TextForm:
    """How a value that is not one word is read from a text, and written.

    `told` says how to write it, in a sentence. `read` raises ValueError, with a sentence, for a
    text that says no such value.
    """

    told: str
    read: Callable[[str], Any]
    write: Callable[[Any], str]


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of the worker.

    `title` is its group's. `kind` is its type as a dataclass has it, `default` its value unless it
    is set, or REQUIRED. `zero` says what 0 means where it stands for no number. `off` is the option
    that says no. `reserved` names are the operator's to set; so are those of all that have `spec`.
    """

    text: str
    least: float | None = None
    most: float | None = None
    zero: str = ""
    off: str = ""
    form: TextForm | None = None
    spec: SpecField | None = None
    reserved: bool = False
    name: str = ""
    title: str = ""
    kind: Any = None
    default: Any = REQUIRED

    @property
    def option(self) -> str:
        """The option of the command line, such as ``--drain-seconds`` or ``--vad/--no-vad``."""
        option = f"--{self.name.replace('_', '-')}"
        return f"{option}/{self.off}" if self.off else option

    @property
    def variable(self) -> str:
        """The environment variable, such as ``WHISPERFLEET_DRAIN_SECONDS``."""
        return f"{_PREFIX}{self.name.upper()}"

    @property
    def is_reserved(self) -> bool:
        """Whether the operator sets the variable, so that a service's own list may not."""
        return self.reserved or self.spec is not None

    @property
    def help(self) -> str:
        """What it does, in sentences for the command line."""
        if self.form is not None:
            return f"{self.text} {self.form.told}"
        return f"{self.text} 0: {self.zero}." if self.zero else self.text

    def check(self, value: Any) -> None:
        """Raise ValueError, with the setting's name, for a number that it cannot have."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return
        if value == 0 and self.zero:
            return
        if self.name.endswith("_seconds") and self.most is None:
            check_seconds(self.name, value, self.least or 0.0)
            return
        least = 1 if self.least is None else self.least
        most = _MOST if self.most is None else self.most
        if not least <= value <= most:
            otherwise = f", or 0: {self.zero}" if self.zero else ""
            raise ValueError(
                f"{self.name} is {value}; it must be a number from {least:g} to {most}{otherwise}"
            )

    def read(self, given: Any) -> Any:
        """Return the value of what the command line hands over.

        Raises ValueError, with a sentence.
        """
        return self.form.read(given) if self.form else given

    def write(self, value: Any) -> str:
        """Return a value as an option or a variable has it."""
        if self.form is not None:
            return self.form.write(value)
        match value:
            case bool():
                return "true" if value else "false"
            case float():
                return str(int(value)) if value.is_integer() else f"{value:g}"
            case _:
                return str(value)


def setting(
    text: str,
    *,
    least: float | None = None,
    most: float | None = None,
    zero: str = "",
    off: str = "",
    form: TextForm | None = None,
    spec: SpecField | None = None,
    reserved: bool = False,
) -> dict[str, Setting]:
    """Return the metadata that makes a dataclass's field a setting. The fields of `Setting`.

    `text` is a sentence or more; `zero` goes on where ``0: `` begins, without a full stop.
    """
    declared = Setting(text, least, most, zero, off, form, spec, reserved)
    return {_KEY: declared}


def settings_in(group: type[Any]) -> Iterator[Setting]:
    """Yield the settings of a group in the order of its fields; other fields are no settings."""
    kinds = get_type_hints(group)
    for field in fields(group):
        if declared := field.metadata.get(_KEY):
            yield replace(
                declared,
                name=field.name,
                title=group.TITLE,
                kind=kinds[field.name],
                default=REQUIRED if field.default is MISSING else field.default,
            )


def check(group: Any) -> None:
    """Raise ValueError where a setting of a group is a number that it cannot have."""
    for each in settings_in(type(group)):
        each.check(getattr(group, each.name))

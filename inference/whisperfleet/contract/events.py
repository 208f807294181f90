"""What the `done` stream and the dead-letter stream carry, as flat fields of their entries.

A done event is small and holds no words: it says that a result is there. A dead letter holds the
whole job, so that it can be sent again.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import from_json

from whisperfleet.contract.job import PROTOCOL_VERSION
from whisperfleet.contract.result import AnyCode
from whisperfleet.contract.states import AnyState
from whisperfleet.contract.usage import Usage

__all__ = ["DeadLetter", "DoneEvent"]

_JOB_FIELD = b"job."
# Far over any job's. The rest of an entry with more is not kept: Lua cannot pass on thousands.
_MAX_JOB_FIELDS = 128


class _Event(BaseModel):
    # A newer minor version may add fields; an older reader ignores them.
    model_config = ConfigDict(frozen=True, extra="ignore")

    v: str = PROTOCOL_VERSION

    def to_fields(self) -> dict[bytes, bytes]:
        """Return the fields of a stream entry, without those that hold their default."""
        flat = {b"v": self.v.encode()}
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            if not field.exclude and value != field.default:
                text = value.model_dump_json() if isinstance(value, BaseModel) else str(value)
                flat[name.encode()] = text.encode()
        return flat


def _parsed(value: Any) -> Any:
    """Return what a field of JSON holds; as it is where it holds none, to be refused."""
    try:
        return from_json(value) if isinstance(value, str) else value
    except ValueError:
        return value


class DoneEvent(_Event):
    """A job has ended; its result can be read."""

    id: str
    state: AnyState
    epoch: Annotated[
        int, Field(ge=0, description="The attempt that ended it; 0 where none did.")
    ] = 0
    stream: Annotated[str, Field(description="`<priority>` or `<priority>:<tenant>`.")] = ""
    entry: Annotated[
        str, Field(description="The entry that the job was, before it was deleted.")
    ] = ""
    code: AnyCode | None = None
    warnings: Annotated[
        int, Field(ge=0, description="How many the result has; absent where it has none.")
    ] = 0
    tenant: str | None = None
    conflicts_with: Annotated[
        str | None, Field(description="The id that this job asked for and that another job has.")
    ] = None
    usage: Annotated[
        Usage | None,
        BeforeValidator(_parsed),
        Field(description="What the job cost, as JSON; absent from workers before 0.2."),
    ] = None

    @classmethod
    def from_fields(cls, fields: Mapping[bytes, bytes]) -> Self:
        """Read an entry of the done stream. Raises pydantic's ValidationError where it is none."""
        return cls.model_validate({name.decode(): value.decode() for name, value in fields.items()})


class DeadLetter(_Event):
    """A job that needs a person: why, what happened to it, and its own fields."""

    id: str
    stream: Annotated[str, Field(description="`<priority>` or `<priority>:<tenant>`.")]
    entry: str
    code: AnyCode
    message: str
    cause: Annotated[
        AnyCode | None, Field(description="Why the last retry failed, where `retries_exhausted`.")
    ] = None
    epoch: int = 0
    deliveries: Annotated[int, Field(description="How often it was begun without an end.")] = 0
    releases: Annotated[int, Field(description="How often it was handed back.")] = 0
    retries: Annotated[int, Field(description="How often a passing failure sent it back.")] = 0
    worker: Annotated[str, Field(description="The consumer that gave it up.")] = ""
    tenant: str | None = None
    history: Annotated[
        str, Field(description="A line an incident: Unix milliseconds and what.")
    ] = ""
    traceback: Annotated[
        str, Field(description="Where in the worker it failed; what it worked on is left out.")
    ] = ""
    dropped_fields: Annotated[int, Field(description="How many fields were too many to keep.")] = 0
    fields: Annotated[
        dict[bytes, bytes], Field(exclude=True, description="The job as it was.")
    ] = {}
    left_out: Annotated[
        dict[bytes, int],
        Field(exclude=True, description="Fields of the job that were not read, and their bytes."),
    ] = {}

    def to_fields(self) -> dict[bytes, bytes]:
        """Return the fields of a stream entry; those of the job are named ``job.<name>``."""
        kept = list(self.fields.items())[:_MAX_JOB_FIELDS]
        flat = super().to_fields()
        if dropped := len(self.fields) - len(kept):
            flat[b"dropped_fields"] = str(dropped).encode()
        return flat | {_JOB_FIELD + name: value for name, value in kept}

    @classmethod
    def from_fields(
        cls, fields: Mapping[bytes, bytes], left_out: Mapping[bytes, int] | None = None
    ) -> Self:
        """Read an entry of the dead-letter stream, of which some fields may have been left out.

        Raises pydantic's ValidationError.
        """
        own = {k.decode(): v.decode() for k, v in fields.items() if not k.startswith(_JOB_FIELD)}
        return cls.model_validate(
            own | {"fields": _of_the_job(fields), "left_out": _of_the_job(left_out or {})}
        )


_Value = TypeVar("_Value")


def _of_the_job(fields: Mapping[bytes, _Value]) -> dict[bytes, _Value]:
    return {k.removeprefix(_JOB_FIELD): v for k, v in fields.items() if k.startswith(_JOB_FIELD)}

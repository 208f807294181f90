"""The job message: the fields of a stream entry.

The shortest complete job is one field: ``XADD <stream> * url https://…``. Fields are flat strings,
as a stream entry has them; `audio` is the only one that is raw bytes.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_serializer,
    model_validator,
)

from whisperfleet.contract.codes import Code
from whisperfleet.contract.languages import LANGUAGES
from whisperfleet.errors import InputError, MalformedEntryError

__all__ = [
    "MAX_INLINE_AUDIO_BYTES",
    "PROTOCOL_MAJOR",
    "PROTOCOL_VERSION",
    "Channel",
    "Format",
    "Job",
    "Task",
    "describe_source",
    "read_metadata",
]

PROTOCOL_MAJOR = 1
PROTOCOL_VERSION = f"{PROTOCOL_MAJOR}.0"
MAX_INLINE_AUDIO_BYTES = 1024 * 1024
MAX_METADATA_BYTES = 4096
MAX_METADATA_DEPTH = 32
MAX_PROMPT_CHARACTERS = 2000
MAX_URL_CHARACTERS = 8192

_TOO_DEEP = f"it is nested over {MAX_METADATA_DEPTH} levels deep; keep it beside the job"


class Task(StrEnum):
    """What to do with the speech."""

    TRANSCRIBE = "transcribe"
    TRANSLATE = "translate"


class Format(StrEnum):
    """A rendering of the transcript that the worker puts beside the result."""

    JSON = "json"
    VERBOSE_JSON = "verbose_json"
    TXT = "txt"
    SRT = "srt"
    VTT = "vtt"


class Channel(StrEnum):
    """Which channels of a recording are recognised."""

    MIX = "mix"
    LEFT = "left"
    RIGHT = "right"
    SPLIT = "split"


def _split_commas(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _parse_metadata(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON; leave the value out or write null")


def _check_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return metadata that can be written into a result; it comes from anybody."""
    if _depth(metadata) > MAX_METADATA_DEPTH:
        raise ValueError(_TOO_DEEP)
    if len(json.dumps(metadata)) > MAX_METADATA_BYTES:
        raise ValueError(f"it is over {MAX_METADATA_BYTES} bytes; keep it beside the job")
    try:
        json.dumps(metadata, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError(
            "it holds half of a character (a lone surrogate), as a text that was cut within an "
            "emoji does; cut texts between characters"
        ) from None
    return metadata


def _depth(value: object) -> int:
    """Return how deep a value is nested, level by level: what is too deep has no bottom."""
    level, depth = [value], 0
    while (level := [part for part in level if isinstance(part, dict | list | tuple)]) and (
        depth <= MAX_METADATA_DEPTH
    ):
        depth += 1
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    return depth


Metadata = Annotated[
    dict[str, Any], BeforeValidator(_parse_metadata), AfterValidator(_check_metadata)
]


class Job(BaseModel):
    """One request for words, as its producer wrote it. Exactly one of `url` and `audio` is set."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    v: Annotated[
        str,
        Field(
            pattern=r"^\d+(\.\d+)?$",
            description="Protocol version, major[.minor]. A worker refuses a newer major.",
        ),
    ] = PROTOCOL_VERSION
    id: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,127}$",
            description="The producer's own job id: a second entry with the same id and payload "
            "runs once. Absent: `<priority>-<entry id>`.",
        ),
    ] = None
    url: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=MAX_URL_CHARACTERS,
            description="Where the audio is: https, or what the worker's settings allow.",
        ),
    ] = None
    audio: Annotated[
        bytes | None,
        Field(description="The audio file itself, in any usual container; 1 MiB at most."),
    ] = None
    language: Annotated[
        str | None,
        Field(description="Spoken language as a Whisper code (`en`). Absent or `auto`: detected."),
    ] = None
    task: Annotated[Task, Field(description="`translate` gives English.")] = Task.TRANSCRIBE
    prompt: Annotated[
        str | None,
        Field(
            max_length=MAX_PROMPT_CHARACTERS,
            description="Text that precedes the audio: names and spelling to expect.",
        ),
    ] = None
    word_timestamps: Annotated[bool, Field(description="Add the start and end of each word.")] = (
        False
    )
    channel: Annotated[
        Channel,
        Field(
            description="`mix` of all channels, `left` or `right` alone, or `split`: the words of "
            "each channel, which their segments name."
        ),
    ] = Channel.MIX
    track: Annotated[
        int | None,
        Field(
            ge=1,
            le=64,
            description="Which audio track of the file, counted from 1. Absent: the one that the "
            "file marks as its default, else the first.",
        ),
    ] = None
    formats: Annotated[
        tuple[Format, ...],
        BeforeValidator(_split_commas),
        Field(description="Renderings to put into the result, comma-separated."),
    ] = ()
    deadline: Annotated[
        AwareDatetime | None,
        Field(
            description="ISO 8601 with an offset, or Unix seconds. Not begun by then: `expired`, "
            "and nothing is downloaded."
        ),
    ] = None
    metadata: Annotated[
        Metadata,
        Field(description="A JSON object that comes back with the result; up to 4 KiB, 32 levels."),
    ] = {}
    tenant: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
            description="Whose job it is. Results of one tenant are never given to another.",
        ),
    ] = None
    model: Annotated[
        str | None, Field(max_length=128, description="Reserved: the model that is asked for.")
    ] = None
    parent: Annotated[
        str | None, Field(max_length=128, description="Reserved: the job that this is a part of.")
    ] = None
    part: Annotated[int | None, Field(ge=0, description="Reserved: which part of `parent`.")] = None
    traceparent: Annotated[
        str | None, Field(max_length=128, description="Reserved: W3C trace context.")
    ] = None
    sink: Annotated[
        str | None, Field(max_length=1024, description="Reserved: where the result should go.")
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _drop_blank_fields(cls, fields: Any) -> Any:
        # `XADD … language ''` is what a shell script with an unset variable writes.
        if isinstance(fields, dict):
            return {k: v for k, v in fields.items() if v != "" or k == "url"}
        return fields

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if self.url is not None and self.audio is not None:
            raise ValueError("send either `url` or `audio`, not both")
        return self

    @field_serializer("formats")
    def _join_formats(self, formats: tuple[Format, ...]) -> str:
        return ",".join(formats)

    @classmethod
    def from_fields(cls, fields: Mapping[bytes, bytes]) -> Self:
        """Read a stream entry.

        Raises MalformedEntryError where the entry is no job at all or of a newer protocol,
        InputError where it is a job that cannot be carried out.
        """
        text: dict[str, Any] = {}
        for name, value in fields.items():
            try:
                key = name.decode()
                text[key] = value if key == "audio" else value.decode()
            except UnicodeDecodeError:
                raise MalformedEntryError(
                    Code.MALFORMED_ENTRY,
                    "a field is not UTF-8; only `audio` may hold raw bytes",
                ) from None
        _check_version(text.get("v", PROTOCOL_VERSION))
        if not text.keys() & {"url", "audio"}:
            raise MalformedEntryError(
                Code.MALFORMED_ENTRY,
                "the entry has neither `url` nor `audio`; XADD <stream> * url https://… is a job",
            )
        if text.get("language") == "auto":
            del text["language"]
        _check_audio(text.get("audio"))
        _check_language(text.get("language"))
        try:
            return cls.model_validate(text)
        except ValidationError as error:
            raise InputError(Code.INVALID_JOB, _first_sentence(error)) from None

    def to_fields(self) -> dict[str, str | bytes]:
        """Return the fields of a stream entry, without those that hold their default."""
        fields: dict[str, str | bytes] = {"v": self.v}
        for name, value in self.model_dump(mode="python", exclude_defaults=True).items():
            if name == "formats" and not value:
                continue
            match value:
                case bytes() | str():
                    fields[name] = value
                case bool():
                    fields[name] = "1" if value else "0"
                case datetime():
                    fields[name] = value.isoformat()
                case dict():
                    fields[name] = json.dumps(value, separators=(",", ":"))
                case _:
                    fields[name] = str(value)
        return fields


def _check_version(version: str) -> None:
    major = version.partition(".")[0]
    if not major.isdecimal():
        raise MalformedEntryError(
            Code.MALFORMED_ENTRY,
            f"`v` is {version[:20]!r}; write {PROTOCOL_VERSION} or leave it out",
        )
    if int(major) != PROTOCOL_MAJOR:
        raise MalformedEntryError(
            Code.UNSUPPORTED_VERSION,
            f"protocol {version[:20]} is not {PROTOCOL_MAJOR}.x, which this worker speaks; "
            "redrive the job once the fleet is upgraded",
        )


def _check_audio(audio: bytes | None) -> None:
    if audio is None:
        return
    if not audio:
        raise InputError(Code.EMPTY, "`audio` has no bytes; send a whole audio file")
    if len(audio) > MAX_INLINE_AUDIO_BYTES:
        raise InputError(
            Code.TOO_LARGE,
            f"`audio` has {len(audio)} bytes and {MAX_INLINE_AUDIO_BYTES} are allowed; "
            "store the file and send its `url`",
        )


def _check_language(language: str | None) -> None:
    if language and language not in LANGUAGES:
        raise InputError(
            Code.UNKNOWN_LANGUAGE,
            f"`language` is {language[:20]!r}; send a Whisper code such as en, or leave it out",
        )


def _first_sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    what = first["msg"].removeprefix("Value error, ")
    return f"`{where}`: {what}" if where else what


_METADATA: TypeAdapter[dict[str, Any]] = TypeAdapter(Metadata)


def read_metadata(fields: Mapping[bytes, bytes]) -> dict[str, Any]:
    """Return the metadata of an entry whatever else is wrong with it; {} where they are bad too."""
    try:
        return _METADATA.validate_python(fields.get(b"metadata", b"{}").decode())
    except ValueError:
        return {}


def describe_source(job: Job) -> str:
    """Return where the audio of a job is, fit for logs: no query, no fragment, no credentials."""
    if job.url is None:
        return f"inline audio, {len(job.audio or b'')} bytes"
    try:
        parts = urlsplit(job.url)
        return f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
    except ValueError:
        return "an address that cannot be parsed"

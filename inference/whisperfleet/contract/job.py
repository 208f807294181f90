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
from whisperfleet.contract.languages import language_code
from whisperfleet.contract.metadata import Metadata
from whisperfleet.contract.sizes import MAX_INLINE_AUDIO_BYTES
from whisperfleet.errors import InputError, MalformedEntryError

__all__ = [
    "MAX_TRACK",
    "PROTOCOL_MAJOR",
    "PROTOCOL_VERSION",
    "Channel",
    "Format",
    "Job",
    "Task",
    "channel_name",
    "check_audio",
    "describe_source",
    "read_metadata",
]

PROTOCOL_MAJOR = 1
PROTOCOL_VERSION = f"{PROTOCOL_MAJOR}.1"
MAX_PROMPT_CHARACTERS = 2000
MAX_TRACK = 64
MAX_URL_CHARACTERS = 8192

# Words for a language that is to be found out; `und` is the code of BCP 47 for it.
_DETECTED = frozenset({"auto", "und"})

# Fields of which every byte counts: audio, words, and names by which the queue knows a job and its
# owner before anybody reads them as text.
_AS_THEY_ARE = frozenset({"audio", "prompt", "id", "tenant"})


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


def channel_name(index: int) -> str:
    """Return what segments call a channel, counted from 0: `left`, `right`, then `3` and so on."""
    return (Channel.LEFT.value, Channel.RIGHT.value)[index] if index < 2 else str(index + 1)


def _split_commas(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _known_language(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value.casefold() in _DETECTED:
        return None
    if code := language_code(value):
        return code
    raise ValueError(
        f"{value[:20]!r} is no language that Whisper knows; send a code such as en, or leave it "
        "out to have it detected"
    )


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
        BeforeValidator(_known_language),
        Field(
            description="Spoken language: a code (`en`), a BCP 47 tag (`en-US`) or its English "
            "name. Absent or `auto`: detected."
        ),
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
            le=MAX_TRACK,
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
    def _tidy(cls, fields: Any) -> Any:
        """Take off blanks around values and leave out fields that are empty.

        ``echo https://… | redis-cli -x`` adds a line end, and ``XADD … language ''`` is what a
        shell script with an unset variable writes.
        """
        if not isinstance(fields, dict):
            return fields
        tidy = {
            name: value.strip() if isinstance(value, str) and name not in _AS_THEY_ARE else value
            for name, value in fields.items()
        }
        return {name: value for name, value in tidy.items() if value not in ("", b"")}

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if self.url is not None and self.audio is not None:
            raise ValueError("send either `url` or `audio`, not both")
        if self.url is None and self.audio is None:
            raise ValueError("send `url` or `audio`: one of them must say what to transcribe")
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
        text = _decode(fields)
        _check_version(str(text.get("v") or PROTOCOL_VERSION).strip())
        _check_source(text)
        check_audio(text.get("audio") or None)
        try:
            return cls.model_validate(text)
        except ValidationError as error:
            raise _invalid(error) from None

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


def _decode(fields: Mapping[bytes, bytes]) -> dict[str, Any]:
    """Return the fields of an entry as text, `audio` as it is."""
    text: dict[str, Any] = {}
    for raw_name, value in fields.items():
        name = "the name of a field"
        try:
            key = raw_name.decode()
            name = f"the field {key[:40]!r}"
            text[key] = value if key == "audio" else value.decode()
        except UnicodeDecodeError:
            raise MalformedEntryError(
                Code.MALFORMED_ENTRY,
                f"{name} is not UTF-8; only `audio` may hold raw bytes"
                + (", and its name is in lower case" if raw_name.lower() == b"audio" else ""),
            ) from None
    return text


def _check_source(text: Mapping[str, Any]) -> None:
    """Tell an entry that is no job from a job whose source is empty."""
    if not text.keys() & {"url", "audio"}:
        misspelt = next((name for name in text if name.lower() in {"url", "audio"}), None)
        raise MalformedEntryError(
            Code.MALFORMED_ENTRY,
            "the entry has neither `url` nor `audio`"
            + (f" but {misspelt!r}; write the name in lower case" if misspelt else "")
            + "; XADD <stream> * url https://… is a job",
        )
    if "audio" not in text and not text["url"].strip():
        raise InputError(Code.INVALID_JOB, "`url` is empty; send the address of an audio file")
    if text.get("audio") == b"" and not text.get("url", "").strip():
        what = "`url` and `audio` are both empty" if "url" in text else "`audio` has no bytes"
        raise InputError(Code.EMPTY, f"{what}; send a whole audio file or the address of one")


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


def check_audio(audio: bytes | None) -> None:
    """Raise InputError where audio is more than an entry may carry."""
    if audio is not None and len(audio) > MAX_INLINE_AUDIO_BYTES:
        raise InputError(
            Code.TOO_LARGE,
            f"`audio` has {len(audio)} bytes and {MAX_INLINE_AUDIO_BYTES} are allowed; "
            "store the file and send its `url`",
        )


def _invalid(error: ValidationError) -> InputError:
    """Return the first of what is wrong with a job."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    what = first["msg"].removeprefix("Value error, ")
    code = Code.UNKNOWN_LANGUAGE if where == "language" else Code.INVALID_JOB
    return InputError(code, f"`{where}`: {what}" if where else what)


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

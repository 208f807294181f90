"""The wire contract as JSON Schema: ``python -m whisperfleet.contract.schema FOLDER``.

A result is a JSON document, so its schema is what pydantic says. Jobs and events are stream
entries: flat fields, every value a string. Their schemas describe such an entry as an object of
strings, so that a program in any language can check what it is about to XADD.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from whisperfleet.contract.events import DeadLetter, DoneEvent
from whisperfleet.contract.job import PROTOCOL_MAJOR, Job
from whisperfleet.contract.result import Result
from whisperfleet.contract.sizes import MAX_INLINE_AUDIO_BYTES

__all__ = ["main", "schemas"]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

# What pydantic reads out of a string, in the regular expressions that every dialect of them has.
_BOOLEAN: Final = r"^(0|1|true|True|false|False|yes|no|on|off)$"
_INTEGER: Final = r"^[0-9]+$"
_TIME: Final = r"^[0-9]+(\.[0-9]+)?$|^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ].+(Z|[+-][0-9]{2}:?[0-9]{2})$"


def schemas() -> dict[str, dict[str, Any]]:
    """Return every schema of the contract by its file name."""
    job = _entry_schema(Job)
    job["oneOf"] = [{"required": ["url"]}, {"required": ["audio"]}]
    job["properties"]["audio"]["maxLength"] = MAX_INLINE_AUDIO_BYTES
    named = {
        "job": job,
        "result": Result.model_json_schema(mode="serialization"),
        "done-event": _entry_schema(DoneEvent),
        "dead-letter": _entry_schema(DeadLetter)
        | {"patternProperties": {r"^job\.": {"type": "string"}}},
    }
    files = {f"{name}.v{PROTOCOL_MAJOR}.json": schema for name, schema in named.items()}
    return {file: {"$schema": _DIALECT, "$id": file} | schema for file, schema in files.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the schemas into the folder that is the only argument; return the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m whisperfleet.contract.schema FOLDER\n")
        return 2
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    for file, schema in schemas().items():
        (folder / file).write_text(render(schema), encoding="utf-8")
        sys.stdout.write(f"{folder / file}\n")
    return 0


def render(schema: dict[str, Any]) -> str:
    """Return a schema as text that is the same on every machine."""
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _entry_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the schema of a stream entry that `model` reads."""
    schema = model.model_json_schema(mode="validation")
    definitions = schema.pop("$defs", {})
    excluded = {name for name, field in model.model_fields.items() if field.exclude}
    schema["properties"] = {
        name: _flatten(_inline(value, definitions))
        for name, value in schema["properties"].items()
        if name not in excluded
    }
    return schema


def _inline(value: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Put what an optional or a reference points at in its place: a field is there or absent."""
    if "anyOf" in value:
        some, *others = (option for option in value.pop("anyOf") if option.get("type") != "null")
        value = some | value
        value.pop("default", None)
        if others == [{"type": "string"}]:
            # A set of names to which a newer minor version may add.
            known = _inline(value, definitions)
            return known | {"examples": known.pop("enum")}
    if "$ref" in value:
        target = definitions[value.pop("$ref").rpartition("/")[2]]
        value = target | value
    if "items" in value:
        value["items"] = _inline(value["items"], definitions)
    return value


def _flatten(value: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the string that carries a value of the schema `value`."""
    match value:
        case {"type": "boolean"}:
            rules: dict[str, Any] = {"pattern": _BOOLEAN}
        case {"type": "integer"}:
            rules = {"pattern": _INTEGER}
        case {"type": "array", "items": {"enum": names}}:
            one = "|".join(names)
            rules = {"pattern": rf"^(\s*({one})\s*(,\s*({one})\s*)*)?$"}
        case {"type": "object"}:
            rules = {"contentMediaType": "application/json", "contentSchema": {"type": "object"}}
        case {"format": "date-time"}:
            rules = {"pattern": _TIME}
        case {"format": "binary"}:
            rules = {"contentEncoding": "binary"}
        case {"type": "string"}:
            return value
        case _:
            raise TypeError(f"no stream field can carry {value}")
    said = {key: value[key] for key in ("title", "description") if key in value}
    return said | {"type": "string"} | rules


if __name__ == "__main__":
    sys.exit(main())

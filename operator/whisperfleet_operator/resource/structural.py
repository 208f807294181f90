"""From pydantic's JSON Schema to the structural schema that Kubernetes asks of a CRD.

A structural schema has no references, no titles, no nulls, no unions but int-or-string, and
`additionalProperties` only where there are no `properties`.
"""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

__all__ = ["structural_schema"]

_DROPPED = ("title", "$defs", "propertyNames")
_FIRST = ("description", "type", "enum", "default", "required")


class _ThinDefaults(GenerateJsonSchema):
    """Says of an object's default what it sets, and not what its class sets anyway."""

    def encode_default(self, dft: Any) -> Any:
        if isinstance(dft, BaseModel):
            return dft.model_dump(mode="json", by_alias=True, exclude_unset=True)
        return super().encode_default(dft)


def structural_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the structural schema of what `model` reads.

    Raises TypeError for what a structural schema cannot say.
    """
    schema = model.model_json_schema(
        by_alias=True, mode="validation", schema_generator=_ThinDefaults
    )
    return _convert(schema, schema.get("$defs", {}))


def _convert(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    schema = _without_null(_resolve(schema, definitions), definitions)
    result = {key: value for key, value in schema.items() if key not in _DROPPED}
    if "description" in result:
        result["description"] = " ".join(result["description"].split())
    if "const" in result:
        # A choice with one option so far, which Kubernetes knows no other word for.
        result["enum"] = [result.pop("const")]
    match result:
        case {"x-kubernetes-int-or-string": True}:
            return result
        case {"anyOf": _} | {"oneOf": _} | {"allOf": _}:
            raise TypeError(f"a structural schema has no unions: {result}")
        case {"properties": dict(properties)}:
            result["properties"] = {
                name: _convert(value, definitions) for name, value in properties.items()
            }
            result.pop("additionalProperties", None)
            _leave_to_rules(result)
        case {"additionalProperties": dict(values)}:
            result["additionalProperties"] = _convert(values, definitions)
        case {"additionalProperties": True, "x-kubernetes-preserve-unknown-fields": True}:
            del result["additionalProperties"]
        case {"items": dict(items)}:
            result["items"] = _convert(items, definitions)
    _thin_default(result)
    return dict(sorted(result.items(), key=lambda item: _rank(item[0])))


def _rank(keyword: str) -> int:
    """Put what a reader looks for first first."""
    return _FIRST.index(keyword) if keyword in _FIRST else len(_FIRST)


def _resolve(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Put what a reference points at in its place; what stands beside the reference wins."""
    if "$ref" not in schema:
        return schema
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    target = definitions[schema["$ref"].rpartition("/")[2]]
    return _resolve(target, definitions) | beside


def _without_null(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Say of a field that may be null that it may be absent, which is how Kubernetes says it."""
    null = {"type": "null"}
    if null not in schema.get("anyOf", ()):
        return schema
    (some,) = (option for option in schema["anyOf"] if option != null)
    beside = {key: value for key, value in schema.items() if key not in {"anyOf", "default"}}
    return _resolve(some, definitions) | beside


def _leave_to_rules(schema: dict[str, Any]) -> None:
    """Take a field that a rule asks for from the required ones, so that the rule gets to speak."""
    rules = {each["rule"] for each in schema.get("x-kubernetes-validations", ())}
    required = [name for name in schema.pop("required", ()) if f"has(self.{name})" not in rules]
    if required:
        schema["required"] = required


def _thin_default(schema: dict[str, Any]) -> None:
    """Drop a default that changes nothing: what is absent reads like what is empty.

    But an object's empty default lets the API server fill in the defaults of its fields.
    """
    fields = schema.get("properties", {}).values()
    if schema.get("default") in ({}, [], "") and not any("default" in field for field in fields):
        del schema["default"]

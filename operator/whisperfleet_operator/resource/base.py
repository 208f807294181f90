"""What every part of the resource is made of: frozen values, CEL rules, bounded strings."""

from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema
from pydantic.alias_generators import to_camel

__all__ = [
    "DnsLabel",
    "ObjectName",
    "Part",
    "Quantity",
    "Rule",
    "checked_by",
    "keyed_by",
    "rules_schema",
]


class Part(BaseModel):
    """A part of the resource: camelCase outside, frozen, described by its fields' docstrings.

    Unknown fields are ignored: an older operator reads what a newer one's schema let in.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,
    )


class Rule(NamedTuple):
    """A CEL expression that the API server evaluates at apply, and what it says if that is false.

    `message` says what is wrong and what to do. An expression that mentions `oldSelf` holds for
    updates only. What an expression asks for with `has(self.field)` is optional to the schema:
    otherwise nobody would ever read its message.
    """

    expression: str
    message: str


def rules_schema(*rules: Rule) -> dict[str, Any]:
    """Return the schema keyword that carries the rules."""
    return {
        "x-kubernetes-validations": [
            {"rule": rule.expression, "message": rule.message} for rule in rules
        ]
    }


def checked_by(*rules: Rule) -> ConfigDict:
    """Return the configuration of a Part whose values must pass the rules."""
    return ConfigDict(json_schema_extra=rules_schema(*rules))


def keyed_by(field: str) -> Any:
    """Return the annotation of a list whose items are told apart by a field."""
    return Field(
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": [field],
        }
    )


DnsLabel = Annotated[
    str, StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
]
"""A name that can be a part of a host's name."""

ObjectName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"),
]
"""The name of another object in the namespace."""

# The form that Kubernetes' own types declare for their quantities.
_QUANTITY_PATTERN = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?"
    r"(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)

Quantity = Annotated[
    int | Annotated[str, Field(max_length=64)],
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": _QUANTITY_PATTERN,
            "maxLength": 64,
            "x-kubernetes-int-or-string": True,
        }
    ),
]
"""An amount of a resource: 500m, 4Gi, 2."""

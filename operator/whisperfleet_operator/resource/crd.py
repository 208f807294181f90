"""The CustomResourceDefinition: ``python -m whisperfleet_operator.resource.crd FOLDER``.

There is no scale subresource: what writes `replicas` through it would fight the autoscaler.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from whisperfleet_operator.resource.base import Rule, rules_schema
from whisperfleet_operator.resource.names import (
    GROUP,
    KIND,
    MAX_CHILD_NAME,
    PLURAL,
    SHORT_NAME,
    SINGULAR,
    VERSION,
)
from whisperfleet_operator.resource.spec import TranscriptionServiceSpec
from whisperfleet_operator.resource.status import TranscriptionServiceStatus
from whisperfleet_operator.resource.structural import structural_schema

__all__ = ["FILE_NAME", "crd", "main", "render"]

FILE_NAME = f"{PLURAL}.{GROUP}.yaml"

_HEAD = (
    "# Written by `make schema` from operator/whisperfleet_operator/resource: change it there.\n"
)

_DESCRIPTION = """A speech-to-text fleet: jobs come from a Redis stream, GPU pods are started from
zero to process them and removed afterwards, and each result is visible exactly once."""

_NAME_RULE = Rule(
    f"self.spec.pools.all(p, self.metadata.name.size() + 1 + p.name.size() <= {MAX_CHILD_NAME})",
    f"<service>-<pool>, the name of what belongs to a pool, is longer than {MAX_CHILD_NAME} "
    "characters: shorten metadata.name or the pool's name",
)


class _Column(NamedTuple):
    name: str
    type: str
    path: str
    description: str
    priority: int = 0


_READY = '.status.conditions[?(@.type=="Ready")]'
_COLUMNS = (
    _Column("Ready", "string", f"{_READY}.status", "Whether jobs are done, or would be"),
    _Column("Reason", "string", f"{_READY}.reason", "Why"),
    _Column("Model", "string", ".status.model", "The model that runs, or the image's tag"),
    _Column("Replicas", "string", ".status.replicas", "Pods that work, of those asked for"),
    _Column("Queued", "integer", ".status.queue.queued", "Jobs that wait"),
    _Column("DLQ", "integer", ".status.queue.deadLetters", "Jobs that need a person"),
    _Column(
        "Oldest", "date", ".status.queue.oldestEnqueueTime", "Age of the oldest job that waits"
    ),
    _Column("Age", "date", ".metadata.creationTimestamp", "Age of the service"),
    _Column("Image", "string", ".spec.model.image", "The worker's image", priority=1),
)


class _PlainDumper(yaml.SafeDumper):
    """Writes out what occurs twice, instead of an anchor and an alias."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def crd() -> dict[str, Any]:
    """Return the CustomResourceDefinition."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": SINGULAR,
                "shortNames": [SHORT_NAME],
                "categories": ["all"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [_column(column) for column in _COLUMNS],
                    "schema": {"openAPIV3Schema": _object_schema()},
                }
            ],
        },
    }


def render(document: dict[str, Any]) -> str:
    """Return the definition as YAML that is the same on every machine."""
    text: str = yaml.dump(
        document, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, width=120
    )
    return _HEAD + text


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the definition into the folder that is the only argument; return the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m whisperfleet_operator.resource.crd FOLDER\n")
        return 2
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE_NAME).write_text(render(crd()), encoding="utf-8")
    sys.stdout.write(f"{folder / FILE_NAME}\n")
    return 0


def _object_schema() -> dict[str, Any]:
    spec = structural_schema(TranscriptionServiceSpec)
    status = structural_schema(TranscriptionServiceStatus)
    return {
        "description": " ".join(_DESCRIPTION.split()),
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": "The version of this schema."},
            "kind": {"type": "string", "description": f"Always {KIND}."},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": status,
        },
        **rules_schema(_NAME_RULE),
    }


def _column(column: _Column) -> dict[str, Any]:
    return {
        "name": column.name,
        "type": column.type,
        "jsonPath": column.path,
        "description": column.description,
        "priority": column.priority,
    }


if __name__ == "__main__":
    sys.exit(main())

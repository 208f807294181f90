"""The API as a page to read: ``python -m whisperfleet_operator.resource.reference FOLDER``.

Made from the same schema as the CRD, so that it says what `kubectl explain` says.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from whisperfleet_operator.resource.crd import crd
from whisperfleet_operator.resource.reasons import REASONS, Alert

__all__ = ["FILE_NAME", "main", "render"]

FILE_NAME: Final = "api-reference.md"

_HEAD: Final = """# API reference

TranscriptionService, `whisperfleet.io/v1alpha1`, `tsvc` for short. Written by `make schema` from
the models in `operator/whisperfleet_operator/resource`: change it there. `kubectl explain
tsvc.spec` says the same.
"""

_REASONS_HEAD: Final = """Of conditions and pools. What passes has a time after which it becomes
another reason, with what a person can do about it. The alert's severity is `critical` where work
stands still or is about to, `warning` where it can wait for the morning."""

_Schema = dict[str, Any]


def render(definition: _Schema) -> str:
    """Return the page about a CustomResourceDefinition."""
    (version,) = definition["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    lines = [_HEAD, schema["description"]]
    lines += _rules(schema)
    for part in ("spec", "status"):
        for path, each in _parts(schema["properties"][part], part):
            lines += _section(path, each)
    lines += ["", "## Columns of `kubectl get`", "", "| column | what |", "|---|---|"]
    for column in version["additionalPrinterColumns"]:
        wide = " (with `-o wide`)" if column["priority"] else ""
        lines.append(f"| {column['name']} | {column['description']}{wide} |")
    lines += _reasons()
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page into the folder that is the only argument; return the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m whisperfleet_operator.resource.reference FOLDER\n")
        return 2
    file = Path(arguments[0]) / FILE_NAME
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(render(crd()), encoding="utf-8")
    sys.stdout.write(f"{file}\n")
    return 0


def _reasons() -> list[str]:
    columns = "| reason | what it means | how long | then | alert |"
    rows = (
        f"| `{reason}` | {about.means} | {about.deadline or about.kind} | "
        f"{', '.join(f'`{each}`' for each in about.follows)} | {_alert(about.alert)} |"
        for reason, about in REASONS.items()
    )
    return ["", "## Reasons", "", _REASONS_HEAD, "", columns, "|---|---|---|---|---|", *rows]


def _alert(alert: Alert | None) -> str:
    if alert is None:
        return ""
    return f"[{alert.name}](operate.md#{alert.name.lower()}), {alert.severity}"


def _parts(schema: _Schema, path: str) -> Iterator[tuple[str, _Schema]]:
    """Yield every object that has fields, the outer ones first."""
    yield path, schema
    for name, field in schema["properties"].items():
        inner, mark = (field["items"], "[]") if field["type"] == "array" else (field, "")
        if inner.get("properties"):
            yield from _parts(inner, f"{path}.{name}{mark}")


def _section(path: str, schema: _Schema) -> list[str]:
    lines = ["", f"## {path}", ""]
    # An item's own description stands at its list.
    lines += [schema["description"], ""] if "description" in schema else []
    lines += ["| field | type | what |", "|---|---|---|"]
    required = schema.get("required", ())
    for name, field in schema["properties"].items():
        mark = " **required**" if name in required or _is_asked_for(name, schema) else ""
        lines.append(f"| `{name}`{mark} | {_type(field)} | {_what(field)} |")
    return lines + _rules(schema)


def _is_asked_for(name: str, schema: _Schema) -> bool:
    """Whether a rule of the object asks for a field, so that the schema leaves it optional."""
    rules = schema.get("x-kubernetes-validations", ())
    return any(rule["rule"] == f"has(self.{name})" for rule in rules)


def _rules(schema: _Schema) -> list[str]:
    messages = [rule["message"] for rule in schema.get("x-kubernetes-validations", ())]
    if not messages:
        return []
    return ["", "Refused, with these words:", "", *(f"- {_plain(each)}" for each in messages)]


def _type(field: _Schema) -> str:
    if field.get("x-kubernetes-int-or-string"):
        return "number or string"
    match field:
        case {"enum": list(values)}:
            return ", ".join(f"`{value}`" for value in values)
        case {"type": "array", "items": dict(items)}:
            kind = _type(items)
            return "list" if kind == "object" else f"list of {kind}"
        case {"type": "object", "additionalProperties": dict(values)}:
            return f"map to {_type(values)}"
        case _:
            kind = field.get("format") or field["type"]
            return f"{kind}{_range(field)}"


def _range(field: _Schema) -> str:
    least, most = field.get("minimum"), field.get("maximum")
    if least is None:
        return ""
    return f", {least} or more" if most is None else f", {least} to {most}"


def _what(field: _Schema) -> str:
    parts = [_plain(field["description"])]
    if field.get("default") not in (None, {}):
        parts.append(f"Default: `{json.dumps(field['default'])}`.")
    if "properties" not in field:
        rules = field.get("x-kubernetes-validations", ())
        parts += [f"Refused: {_plain(rule['message'])}." for rule in rules]
    return " ".join(parts)


def _plain(text: str) -> str:
    """Return a sentence that Markdown shows as it is, but for its `code`."""
    pieces = text.split("`")
    for outside in range(0, len(pieces), 2):
        for special in "\\*<|":
            pieces[outside] = pieces[outside].replace(special, f"\\{special}")
    return "`".join(pieces)


if __name__ == "__main__":
    sys.exit(main())

"""What queries in PromQL are about, without a parser of it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

FILES: Final = Path(__file__).parents[3] / "charts/whisperfleet/files"
ALERTS: Final = FILES / "alerts.yaml"
METRICS_PAGE: Final = Path(__file__).parents[3] / "docs/metrics.md"

_STRING = re.compile(r'"[^"]*"')
_MATCHERS = re.compile(r"\{([^}]*)\}")
_RANGE = re.compile(r"\[[^\]]*\]")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
# What no bracket follows is no function.
_NAME = re.compile(r"\b[a-zA-Z_:][a-zA-Z0-9_:]*\b(?!\s*\()")
_WORDS: Final = {"and", "bool", "offset", "or", "unless"}
# | `name` | type | `label`, `label` | what |
_LABELS_COLUMN = re.compile(r"^\| `\w+` \| \w+ \|([^|]*)\|", re.MULTILINE)
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')

Rule = dict[str, Any]


def metrics_in(expression: str) -> set[str]:
    """Return the names of the metrics that an expression reads."""
    for pattern in (_STRING, _MATCHERS, _RANGE, _GROUPING):
        expression = pattern.sub(" ", expression)
    return set(_NAME.findall(expression)) - _WORDS


def values_of(label: str, expression: str) -> set[str]:
    """Return what an expression compares a label with."""
    return {
        value
        for matchers in _MATCHERS.findall(expression)
        for name, values in _MATCHER.findall(matchers)
        if name == label
        for value in values.split("|")
    }


def labels_grouped_by(expression: str) -> set[str]:
    """Return the labels that an expression groups or joins by."""
    groups = _GROUPING.findall(expression)
    return {label.strip() for group in groups for label in group.split(",")}


def rules() -> list[Rule]:
    """Return the alerts."""
    document = yaml.safe_load(ALERTS.read_text("utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """Return the panels of the dashboard that show something."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def dashboard() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FILES / "dashboard.json").read_text("utf-8"))
    return document


def documented_labels() -> set[str]:
    """Return the labels of all metrics in docs/metrics.md."""
    columns = _LABELS_COLUMN.findall(METRICS_PAGE.read_text("utf-8"))
    return {label for column in columns for label in re.findall(r"`(\w+)`", column)}


def dashboard_queries() -> Iterator[tuple[str, str]]:
    """Yield where in the dashboard a query is, and the query."""
    for panel in panels():
        for target in panel["targets"]:
            yield f"{panel['title']}, {target['refId']}", target["expr"]
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            # The metric is the first argument, the label the second.
            query = variable["query"]["query"].removeprefix("label_values(")
            yield f"variable {variable['name']}", query.rpartition(",")[0]

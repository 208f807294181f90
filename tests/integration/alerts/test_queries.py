"""The alerts and the dashboard ask only for what there is."""

import pytest

from support.alerts.queries import (
    dashboard,
    dashboard_queries,
    documented_labels,
    labels_grouped_by,
    metrics_in,
    panels,
    rules,
    values_of,
)
from whisperfleet.contract.states import State
from whisperfleet_operator.resource import ConditionType, Reason

# Of others: NVIDIA's DCGM exporter.
FOREIGN = {"DCGM_FI_DEV_GPU_UTIL"}
# What the scrape adds to the metrics of a worker; docs/metrics.md, Scraping.
ADDED = {"namespace", "service", "pool", "pod"}

QUERIES = {rule["alert"]: rule["expr"] for rule in rules()} | dict(dashboard_queries())
each_query = pytest.mark.parametrize("where", QUERIES)


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("up", {"up"}),
        ('sum by (le, pod) (rate(a_bucket{x=~"b|c"}[5m])) / ignoring (y) d > 2', {"a_bucket", "d"}),
        ("(time() - a > 1800 and on (namespace) b) unless on (n) c", {"a", "b", "c"}),
        ("histogram_quantile(0.95, x_bucket) or y offset 5m", {"x_bucket", "y"}),
    ],
)
def test_names_are_found_in_expressions(expression: str, names: set[str]):
    assert metrics_in(expression) == names


@each_query
def test_every_metric_is_served(where: str, served: set[str]):
    names = metrics_in(QUERIES[where])
    assert names
    assert names <= served | FOREIGN


@each_query
def test_every_value_that_is_asked_for_can_occur(where: str):
    expression = QUERIES[where]
    assert values_of("reason", expression) <= {reason.value for reason in Reason}
    assert values_of("condition", expression) <= {kind.value for kind in ConditionType}
    states = {state.value for state in State} | {"used", "free", "desired", "ready"}
    assert values_of("state", expression) <= states
    assert values_of("result", expression) <= {"done", "gone", "retried", "broken"}
    assert values_of("answer", expression) <= {"hit", "miss", "fenced"}


@each_query
def test_every_label_that_it_groups_by_is_there(where: str):
    known = ADDED | {"le"} | documented_labels()
    assert labels_grouped_by(QUERIES[where]) <= known


def test_the_dashboard_shows_what_people_on_call_look_for():
    titles = {panel["title"] for panel in panels()}
    assert {
        "Backlog",
        "Oldest wait",
        "Replicas",
        "Throughput",
        "Wait in the queue",
        "Jobs without words, by code",
        "Dead letters",
        "Cache hits",
        "Memory used",
        "Reconciles of services",
    } <= titles


def test_the_panels_do_not_overlap():
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in dashboard()["panels"]}) == len(dashboard()["panels"])


def test_every_panel_asks_the_chosen_data_source():
    sources = [panel["datasource"] for panel in panels()]
    assert sources == [{"type": "prometheus", "uid": "${datasource}"}] * len(sources)

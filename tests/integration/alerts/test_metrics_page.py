"""docs/metrics.md has every metric that is served, as it is served."""

import re

import pytest
from prometheus_client.metrics import MetricWrapperBase

from support.alerts.queries import METRICS_PAGE
from support.alerts.scrapes import Served
from whisperfleet.worker import metrics as worker_metrics
from whisperfleet_operator import metrics as operator_metrics

PAGE = METRICS_PAGE.read_text("utf-8")
_ROW = re.compile(r"^\| `(\w+)` \| (\w+) \|([^|]*)\| (.*) \|$", re.MULTILINE)


def documented(heading: str) -> dict[str, Served]:
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return {
        name: Served(kind, what, frozenset(re.findall(r"`(\w+)`", labels)))
        for name, kind, labels, what in _ROW.findall(section)
    }


def with_declared_labels(served: dict[str, Served], module: object) -> dict[str, Served]:
    """What is served, with the labels of what has not been counted yet."""
    declared = {
        metric.describe()[0].name: frozenset(metric._labelnames)
        for name in module.__all__
        if isinstance(metric := getattr(module, name), MetricWrapperBase)
    }
    return {
        name: Served(
            metric.type,
            metric.help,
            metric.labels or declared.get(name.removesuffix("_total"), frozenset()),
        )
        for name, metric in served.items()
    }


def test_every_metric_of_a_worker_is_there_as_it_is_served(of_worker: dict[str, Served]):
    assert documented("A worker") == with_declared_labels(of_worker, worker_metrics)


def test_every_metric_of_the_operator_is_there_as_it_is_served(of_operator: dict[str, Served]):
    assert documented("The operator") == with_declared_labels(of_operator, operator_metrics)


@pytest.mark.parametrize("label", ["namespace", "service", "pool", "pod"])
def test_the_page_says_where_labels_come_from(label: str):
    assert f"`{label}`" in PAGE.partition("\n## Scraping\n")[2]

"""Each alert fires when it should, is explained, and links to what to do about it."""

import re
from pathlib import Path

import pytest
import yaml

from support.alerts.promtool import Promtool
from support.alerts.queries import ALERTS, FILES, Rule, dashboard_queries, rules
from whisperfleet_operator.resource import Reason

DOCS = Path(__file__).parents[3] / "docs"
TESTS = FILES / "alerts_test.yaml"

RULES = rules()
each_rule = pytest.mark.parametrize("rule", RULES, ids=[rule["alert"] for rule in RULES])


def test_prometheus_reads_the_rules(promtool: Promtool):
    assert f"{len(RULES)} rules found" in promtool("check", "rules", str(ALERTS))


def test_each_alert_fires_when_it_should(promtool: Promtool):
    assert "SUCCESS" in promtool("test", "rules", str(TESTS))


def test_prometheus_reads_the_queries_of_the_dashboard(promtool: Promtool, tmp_path: Path):
    # It checks expressions only as those of rules.
    queries = [query.replace("$", "") for _, query in dashboard_queries()]
    as_rules = [
        {"record": f"dashboard:{number}", "expr": query} for number, query in enumerate(queries)
    ]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": as_rules}]}))
    assert f"{len(queries)} rules found" in promtool("check", "rules", str(file))


@each_rule
def test_there_is_a_test_in_which_it_fires(rule: Rule):
    tests = yaml.safe_load(TESTS.read_text("utf-8"))["tests"]
    fired = {
        case["alertname"]
        for test in tests
        for case in test["alert_rule_test"]
        if case.get("exp_alerts")
    }
    assert rule["alert"] in fired


@each_rule
def test_it_says_what_happened_and_what_to_do(rule: Rule):
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["for"]
    annotations = rule["annotations"]
    assert set(annotations) == {"summary", "description", "runbook_url"}
    assert len(annotations["description"]) > len(annotations["summary"])
    assert re.search(r"`|\bTake\b|docs/", annotations["description"])


@each_rule
def test_its_runbook_has_a_section(rule: Rule):
    page = (DOCS / "operate.md").read_text("utf-8")
    assert rule["annotations"]["runbook_url"] == f"docs/operate.md#{rule['alert'].lower()}"
    section = page.partition(f"\n### {rule['alert']}\n")[2].partition("\n### ")[0]
    assert len(section.split()) > 10


def test_every_section_on_alerts_has_an_alert():
    page = (DOCS / "operate.md").read_text("utf-8")
    section = page.partition("\n## Alerts\n")[2].partition("\n## ")[0]
    assert re.findall(r"(?m)^### (.*)$", section) == [rule["alert"] for rule in RULES]


def test_the_runbook_knows_every_reason_of_a_status():
    page = (DOCS / "operate.md").read_text("utf-8")
    table = page.partition("| reason in the status |")[2].partition("\n\n")[0]
    listed = set(re.findall(r"`([A-Z]\w+)`", table))
    # What conditions say while all is well or unknown.
    quiet = {"AsExpected", "AutoscalerPending", "Pending", "ReconcileDisabled"}
    assert listed == {reason.value for reason in Reason} - quiet

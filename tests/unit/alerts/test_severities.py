"""Which reason has which alert stands in one place, and the rules and the runbook follow it."""

import re
from pathlib import Path

import pytest

from support.alerts.queries import Rule, rules, values_of
from whisperfleet_operator.resource import Reason
from whisperfleet_operator.resource.reasons import BLOCKING, REASONS, About, Alert, Kind, Severity

PAGE = (Path(__file__).parents[3] / "docs/operate.md").read_text("utf-8")
RULES = {rule["alert"]: rule for rule in rules()}
ALERTS = {reason: about.alert for reason, about in REASONS.items() if about.alert is not None}
_REASON = re.compile(r'\breason\s*(=~|!~|!=|=)\s*"([^"]*)"')

each_reason = pytest.mark.parametrize("reason", ALERTS)


def reasons_of(alert: str) -> set[Reason]:
    return {reason for reason, each in ALERTS.items() if each.name == alert}


def section(alert: str) -> str:
    return PAGE.partition(f"\n### {alert}\n")[2].partition("\n### ")[0].partition("\n## ")[0]


@pytest.mark.parametrize(
    ("kind", "blocks"), [(Kind.WRONG, False), (Kind.WRONG, True), (Kind.WANTED, True)]
)
def test_what_blocks_or_is_wrong_cannot_be_without_an_alert(kind: Kind, blocks: bool) -> None:
    with pytest.raises(ValueError, match="give the reason an alert"):
        About(kind, "The pods are on strike.", blocks=blocks)
    alert = Alert("WhisperfleetWorkersBlocked", Severity.WARNING)
    assert About(kind, "The pods are on strike.", alert=alert, blocks=blocks).alert is alert


def test_what_blocks_a_pool_has_an_alert() -> None:
    assert BLOCKING
    assert set(BLOCKING) <= ALERTS.keys()


@each_reason
def test_the_rule_of_a_reason_is_as_severe_as_the_reason(reason: Reason) -> None:
    rule = RULES[ALERTS[reason].name]
    assert rule["labels"]["severity"] == ALERTS[reason].severity


def _names_reasons(rule: Rule) -> bool:
    # Suspended is named to be left alone.
    return bool(values_of("reason", rule["expr"]) - {Reason.SUSPENDED})


@pytest.mark.parametrize("alert", [name for name, rule in RULES.items() if _names_reasons(rule)])
def test_a_rule_that_names_reasons_names_those_that_have_it(alert: str) -> None:
    matchers = _REASON.findall(RULES[alert]["expr"])
    assert {sign for sign, _ in matchers} <= {"=", "=~"}
    assert values_of("reason", RULES[alert]["expr"]) == reasons_of(alert)


def test_a_rule_that_names_none_is_about_a_condition_of_its_own() -> None:
    silent = {each.name for each in ALERTS.values() if not _names_reasons(RULES[each.name])}
    conditions = {name: values_of("condition", RULES[name]["expr"]) for name in silent}
    assert conditions == {
        "WhisperfleetQueueUnreachable": {"QueueReachable"},
        "WhisperfleetQueueNotDurable": {"QueueDurable"},
    }


@each_reason
def test_the_table_of_reasons_leads_to_the_alerts_section(reason: Reason) -> None:
    table = PAGE.partition("| reason in the status |")[2].partition("\n\n")[0]
    (row,) = [line for line in table.splitlines() if f"`{reason}`" in line.split("|")[1]]
    assert f"(#{ALERTS[reason].name.lower()})" in row


@each_reason
def test_a_section_on_several_reasons_says_of_each_what_to_do(reason: Reason) -> None:
    alert = ALERTS[reason].name
    assert len(reasons_of(alert)) == 1 or f"`{reason}`" in section(alert)

"""The alerts of a release: those of the file, about what the release looks after."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.alerts.promtool import Promtool
from support.chart.helm import CHART, Helm, Json

# No cluster is asked, but helm is its testbed's.
pytestmark = pytest.mark.cluster

Spec = dict[str, Any]
_IN_FILE: Spec = yaml.safe_load((CHART / "files/alerts.yaml").read_text("utf-8"))
_SCOPE = re.compile(r'namespace="[^"]*", pod=~"[^"]*"(?:, )?')


@pytest.fixture
def rules(renderer: Helm) -> Callable[..., Spec]:
    """Call it with settings for the rules of a release named `mine` in the namespace `system`."""

    def of(*settings: str, namespace: str = "system") -> Spec:
        chosen = ",".join(("prometheusRule.enabled=true", *settings))
        options = ("--set", chosen, "--namespace", namespace)
        objects = renderer.template(*options, name="mine")
        (rule,) = (each for each in objects if each["kind"] == "PrometheusRule")
        spec: Spec = rule["spec"]
        return spec

    return of


def test_they_are_those_of_the_file_about_the_releases_own_operator(
    rules: Callable[..., Spec],
) -> None:
    narrowed = [rule for rule in _rules(rules()) if _SCOPE.search(rule["expr"])]
    assert len(narrowed) == 6
    widened = [rule | {"expr": _SCOPE.sub("", rule["expr"])} for rule in _rules(rules())]
    assert widened == [_without_link(rule) for rule in _rules(_IN_FILE)]


@pytest.mark.parametrize(
    ("setting", "alert", "condition"),
    [
        ("waitSeconds=60", "WhisperfleetWaitTooLong", "oldest_timestamp_seconds{} > 60\n"),
        ("deadLetters=0", "WhisperfleetDeadLetters", "dead_letters{} > 0"),
        ("errorPercent=7", "WhisperfleetErrorRatio", "> 0.07\n"),
        ("gpuMemoryPercent=90", "WhisperfleetGpuMemoryFull", "> 0.9\n"),
    ],
)
def test_a_threshold_is_that_of_its_alert_alone(
    rules: Callable[..., Spec], setting: str, alert: str, condition: str
) -> None:
    default, changed = rules(), rules(f"prometheusRule.thresholds.{setting}")
    (rule,) = (rule for rule in _rules(changed) if rule not in _rules(default))
    assert rule["alert"] == alert
    assert condition in rule["expr"]


def test_the_links_to_the_runbooks_lead_where_they_are_told(rules: Callable[..., Spec]) -> None:
    spec = rules("prometheusRule.runbookBase=https://example.org/main/")
    links = [each["annotations"]["runbook_url"] for each in _rules(spec)]
    assert links == [
        f"https://example.org/main/{rule['annotations']['runbook_url']}"
        for rule in _rules(_IN_FILE)
    ]


def test_without_a_place_for_the_runbooks_the_notes_say_so(renderer: Helm) -> None:
    command = ("install", "mine", str(CHART), "--dry-run=client", "--set")
    settings = "image.repository=x/y,keda.check=false,prometheusRule.enabled=true"
    hint = "set prometheusRule.runbookBase"
    assert hint in renderer.run(*command, settings)
    known = f"{settings},prometheusRule.runbookBase=https://example.org"
    assert hint not in renderer.run(*command, known)


@pytest.mark.parametrize(("namespace", "firing"), [("system", 1), ("other", 0)])
def test_an_operator_that_is_gone_is_missed_beside_another(
    rules: Callable[..., Spec], promtool: Promtool, tmp_path: Path, namespace: str, firing: int
) -> None:
    depth = "whisperfleet_operator_work_queue_depth"
    series = {
        f'{depth}{{namespace="system", pod="mine-whisperfleet-operator-7d4-x"}}': "0x5 _x20",
        f'{depth}{{namespace="other", pod="mine-whisperfleet-operator-7d4-y"}}': "0x30",
    }
    spec = rules(namespace=namespace)
    file = _rule_test(tmp_path, spec, series, "WhisperfleetOperatorDown", firing)
    assert "SUCCESS" in promtool("test", "rules", str(file))


@pytest.mark.parametrize(
    ("setting", "firing"),
    [("", 1), ("watchNamespaces={team-a,team-b}", 1), ("watchNamespaces={team-a}", 0)],
)
def test_the_services_of_another_release_are_its_own_to_alert_about(
    rules: Callable[..., Spec], promtool: Promtool, tmp_path: Path, setting: str, firing: int
) -> None:
    series = {'whisperfleet_queue_dead_letters{namespace="team-b", service="calls"}': "11x30"}
    file = _rule_test(tmp_path, rules(setting), series, "WhisperfleetDeadLetters", firing)
    assert "SUCCESS" in promtool("test", "rules", str(file))


def test_prometheus_reads_the_rules_of_a_release(
    rules: Callable[..., Spec], promtool: Promtool, tmp_path: Path
) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(rules("watchNamespaces={team-a,team-b}")))
    assert f"{len(_rules(_IN_FILE))} rules found" in promtool("check", "rules", str(file))


def _rule_test(folder: Path, spec: Spec, series: dict[str, str], alert: str, firing: int) -> Path:
    """Write rules, and a test of how often an alert fires after 20 minutes of those series."""
    (folder / "rules.yaml").write_text(yaml.safe_dump(spec))
    expected = {
        "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}}) or vector(0)',
        "eval_time": "20m",
        "exp_samples": [{"labels": "{}", "value": firing}],
    }
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [expected],
    }
    file = folder / "test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": [test]}))
    return file


def _rules(spec: Spec) -> list[Json]:
    return [rule for group in spec["groups"] for rule in group["rules"]]


def _without_link(rule: Json) -> Json:
    kept = {name: text for name, text in rule["annotations"].items() if name != "runbook_url"}
    return rule | {"annotations": kept}

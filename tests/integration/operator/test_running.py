"""An operator as a process: signals, health and metrics, before and while there is work."""

import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from support.operator.process import Operator
from support.operator.stub_api import StubApi, stub_api
from support.operator.world import NAMESPACE, service_object
from support.servers import wait_for

_SILENT_PATH: Final = "/openapi/v3"
# More than it takes two idle threads to ask for work again, and less than a call may take.
_STALL_SECONDS: Final = 7
_PROGRAM: Final = f"""
from whisperfleet_operator.process import run_operator
from whisperfleet_operator.settings import OperatorSettings

run_operator(
    OperatorSettings(
        namespaces=("{NAMESPACE}",),
        workers=2,
        http_host="127.0.0.1",
        http_port=0,
        stall_seconds={_STALL_SECONDS},
    )
)
"""


@pytest.fixture
def running(tmp_path: Path) -> Iterator[tuple[StubApi, Operator]]:
    """An API server, and an operator for it that is yet to be started."""
    with stub_api(tmp_path) as (api, kubeconfig):
        operator = Operator(kubeconfig, tmp_path / "log", (), program=("-c", _PROGRAM))
        try:
            yield api, operator
        finally:
            operator.kill()


def _answer(operator: Operator, path: str) -> tuple[int, str]:
    try:
        address = f"http://127.0.0.1:{operator.port}{path}"
        with urllib.request.urlopen(address, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_who_waits_for_the_crd_lives_and_obeys_signals(running: tuple[StubApi, Operator]):
    _, operator = running
    operator.start(wait=False)

    def waits() -> bool:
        return any("install the operator's CRD" in line["message"] for line in operator.lines())

    wait_for(waits, "it waits for the CRD")
    assert _answer(operator, "/livez")[0] == 200
    assert _answer(operator, "/readyz") == (503, "the cluster is not being watched yet\n")
    operator.stop()


def test_a_reconcile_that_hangs_ends_the_liveness(running: tuple[StubApi, Operator]):
    api, operator = running
    api.serve(service_object())
    api.silent.add(_SILENT_PATH)
    operator.start()
    assert _answer(operator, "/livez") == (200, "ok\n")
    wait_for(lambda: _answer(operator, "/livez")[0] == 503, "the stall is told")
    assert f"the reconcile of {NAMESPACE}/calls has taken" in _answer(operator, "/livez")[1]


def test_calls_by_verb_and_the_duration_of_reconciles_are_served(
    running: tuple[StubApi, Operator],
):
    api, operator = running
    api.serve(service_object())
    operator.start()
    operator.wait_for_reconciles(1)
    text = _answer(operator, "/metrics")[1]
    calls = re.findall(
        r'whisperfleet_operator_api_calls_total\{status="(\d+)",verb="(\w+)"\} (\S+)', text
    )
    by_verb = {(verb, status): float(count) for status, verb, count in calls}
    # The uid of kube-system, the service's first status, and KEDA, which is not there.
    assert by_verb["get", "200"] == 1
    assert by_verb["patch_status", "200"] >= 1
    assert by_verb["read", "404"] >= 1
    samples = dict(re.findall(r"whisperfleet_operator_reconcile_seconds_(count|sum) (\S+)", text))
    assert float(samples["count"]) >= 1
    assert 0 < float(samples["sum"]) < 60

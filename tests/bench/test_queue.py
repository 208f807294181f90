"""The queue's benchmark: it measures, and it fails where a figure is not what is wanted."""

import sys
from dataclasses import replace

import pytest

from hack.bench import __main__ as program
from hack.bench import queue
from hack.bench.queue import Cost, Report
from whisperfleet.demo.server import EmbeddedServer

GOOD = Report(
    jobs=5000,
    in_flight=8,
    jobs_per_second=1501.0,
    bare_per_second=4000.0,
    ratios=(0.2, 0.36, 0.5),
    costs=(Cost(1000, 300.0, 1.0, 99.0), Cost(100_000, 330.0, 2.0, 105.0)),
    claims=(),
)


def test_figures_that_are_as_wanted_have_no_shortfall() -> None:
    assert GOOD.shortfalls() == []


@pytest.mark.parametrize(
    ("report", "sentence"),
    [
        (replace(GOOD, jobs_per_second=1499.0), "1,499 jobs a second, not 1,500"),
        (replace(GOOD, ratios=(0.1, 0.34, 0.5)), "0.34 of what a bare loop does, not 0.35"),
        (replace(GOOD, costs=(Cost(1, 100, 0, 0), Cost(2, 111, 0, 0))), "costs 11.0% more"),
    ],
)
def test_the_program_fails_and_names_the_figure(
    report: Report,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(program, "measure", lambda *_: report)
    monkeypatch.setattr(sys, "argv", ["hack.bench"])
    with pytest.raises(SystemExit) as ended:
        program.main()
    assert sentence in str(ended.value.code)
    assert "wanted" in capsys.readouterr().out


def test_a_short_run_measures_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "_TURNS", 1)
    monkeypatch.setattr(queue, "_JOBS_A_TURN", 200)
    with EmbeddedServer() as server:
        report = queue.measure(server, jobs=50, rounds=1, depths=(200, 201), in_flight=4)
    assert report.jobs_per_second > 0
    assert report.ratio == report.jobs_per_second / report.bare_per_second
    assert [cost.queued for cost in report.costs] == [200, 201]
    for cost in report.costs:
        assert cost.server_us >= 0
        assert cost.total_us > 0
    assert [claim.queued for claim in report.claims] == [200, 201]
    assert all(claim.us > 0 for claim in report.claims)

"""The queue's benchmark: it measures, and it fails where a figure is not what is wanted."""

import sys
from dataclasses import replace

import pytest
import redis

from hack.bench import __main__ as program
from hack.bench import queue
from hack.bench.queue import Cost, Report, Round
from hack.bench.yardstick import do_jobs
from hack.null_worker import NullPipeline
from whisperfleet.client import Client
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.queue import Concluded, Settled, WorkQueue
from whisperfleet.worker.control import JobControl


def one_round(calls_us: float) -> Round:
    return Round(
        jobs_per_second=600.0,
        bare_per_second=2400.0,
        worker_us=500.0,
        server_us=200.0,
        calls_us=calls_us,
        calls_server_us=60.0,
    )


GOOD = Report(
    jobs=5000,
    in_flight=8,
    rounds=(one_round(100.0), one_round(175.0), one_round(250.0)),
    costs=(Cost(1000, 300.0, 1.0, 99.0), Cost(100_000, 330.0, 2.0, 105.0)),
    claims=(),
)
SHORT = (one_round(50.0), one_round(120.0), one_round(250.0))


def test_figures_that_are_as_wanted_have_no_shortfall() -> None:
    assert GOOD.shortfalls() == []


@pytest.mark.parametrize(
    ("report", "sentence"),
    [
        (replace(GOOD, rounds=SHORT), "cost 0.24 of the CPU that one costs the worker, not 0.25"),
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
    (one,) = report.rounds
    assert report.share == one.calls_us / one.worker_us
    assert 0 < one.calls_us < one.worker_us
    assert one.calls_server_us > 0
    assert 0 < one.jobs_per_second < one.bare_per_second
    assert [cost.queued for cost in report.costs] == [200, 201]
    for cost in report.costs:
        assert cost.server_us >= 0
        assert cost.total_us > 0
    assert [claim.queued for claim in report.claims] == [200, 201]
    assert all(claim.us > 0 for claim in report.claims)


def test_the_yardstick_makes_the_calls_of_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many of them, with arguments and replies of the same number and about the same size."""
    calls: list[tuple[list[object], object]] = []
    execute = redis.Redis.execute_command

    def listen(client: redis.Redis, *command: object, **options: object) -> object:
        reply = execute(client, *command, **options)
        if command[0] == "EVALSHA":
            calls.append((list(command[1:]), reply))
        return reply

    monkeypatch.setattr(redis.Redis, "execute_command", listen)
    with EmbeddedServer() as server, Client(server.settings, "real") as producer:
        consumer = WorkQueue(server.settings.connect(), producer.keys, "null-12345-abcdef01")
        # The server knows no script before the first job, which is sent with the text of each.
        for _ in range(2):
            producer.submit(queue.JOB)
            calls.clear()
            claim = consumer.claim()
            assert claim is not None
            result = NullPipeline().run(claim, JobControl(60.0, lambda: None))
            assert consumer.settle(claim, Concluded(result)) is Settled.PUBLISHED
        real = calls[:]
        with Client(server.settings, "bare") as other:
            other.submit(queue.JOB)
            calls.clear()
            do_jobs(server.settings.connect(), other.keys, 1)
    assert len(calls) == len(real)
    for (sent, received), (really_sent, really_received) in zip(calls, real, strict=True):
        assert len(sent) == len(really_sent)
        assert size(sent) == pytest.approx(size(really_sent), rel=0.1)
        assert size(received) == pytest.approx(size(really_received), rel=0.1)


def size(value: object) -> int:
    """Return the bytes of an argument or a reply, whatever it is made of."""
    if isinstance(value, list | tuple):
        return sum(map(size, value))
    return len(value) if isinstance(value, bytes) else len(str(value))

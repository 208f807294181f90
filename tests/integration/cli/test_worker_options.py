"""Every setting of a worker is an option and an environment variable, with one default."""

import json
import os
import re
import signal
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from whisperfleet.cli.app import app
from whisperfleet.queue import RedisSettings
from whisperfleet.settings import EngineSettings
from whisperfleet.worker.settings import WorkerSettings

COMMANDS = get_command(app)
COMMAND = COMMANDS.get_command(typer.Context(COMMANDS), "worker")
OPTIONS = {option.name: option for option in COMMAND.params}


@pytest.fixture
def settings_of(invoke):
    """Return the settings with which `worker` would start."""

    def parse(*arguments, **environment):
        seen = []
        done = invoke("worker", *arguments, work=lambda s: seen.append(s) or 0, **environment)
        assert done.exit_code == 0, done.stderr
        return seen[0]

    return parse


def test_the_defaults_are_those_of_the_settings(settings_of, any_server, queue_id):
    given = settings_of("--model", "demo")
    assert given == WorkerSettings(
        redis=RedisSettings(any_server.url),
        queue_id=queue_id,
        engine=EngineSettings("demo"),
        consumer=given.consumer,
    )


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_every_option_has_a_help_and_a_variable(name):
    option = OPTIONS[name]
    assert option.help
    assert re.fullmatch(r"WHISPERFLEET_[A-Z_]+", option.envvar)


CHANGED = {
    "device": ("cpu", lambda s: s.engine.device == "cpu"),
    "compute_type": ("int8", lambda s: s.engine.compute_type == "int8"),
    "cpu_threads": ("3", lambda s: s.engine.cpu_threads == 3),
    "beam_size": ("1", lambda s: s.decoding.beam_size == 1),
    "vad": ("0", lambda s: not s.segmentation.vad),
    "segmentation": ("sequential", lambda s: s.segmentation.mode == "sequential"),
    "max_window_seconds": ("12", lambda s: s.segmentation.max_window_seconds == 12),
    "max_bytes": ("1000", lambda s: s.fetching.max_bytes == 1000),
    "max_audio_seconds": ("60", lambda s: s.decode_limits.max_seconds == 60),
    "allow_http": ("1", lambda s: s.fetching.allow_http),
    "allowed_hosts": (
        "a.example.org, *.example.com",
        lambda s: s.fetching.allowed_hosts == ("a.example.org", "*.example.com"),
    ),
    "allowed_networks": (
        "192.0.2.0/24,fd12::/48",
        lambda s: [str(n) for n in s.fetching.allowed_networks] == ["192.0.2.0/24", "fd12::/48"],
    ),
    "file_roots": (
        f"/clips{os.pathsep}/more",
        lambda s: s.fetching.file_roots == (Path("/clips"), Path("/more")),
    ),
    "fetch_ca_file": ("/ca.pem", lambda s: s.fetching.ca_file == Path("/ca.pem")),
    "fetch_timeout_seconds": ("9", lambda s: s.fetching.total_timeout_seconds == 9),
    "batch_size": ("6", lambda s: s.engine.batch_size == 6),
    "max_in_flight": ("2", lambda s: s.load.max_in_flight == 2),
    "max_audio_seconds_in_flight": ("45", lambda s: s.load.max_audio_seconds_in_flight == 45),
    "priorities": ("now:9,later:1", lambda s: [p.weight for p in s.queue.priorities] == [9, 1]),
    "tenants": ("acme, globex", lambda s: s.queue.tenants == ("acme", "globex")),
    "cache_seconds": ("0", lambda s: s.queue.cache_seconds == 0),
    "job_timeout_seconds": ("7", lambda s: s.load.job_timeout_seconds == 7),
    "drain_seconds": ("8", lambda s: s.load.drain_seconds == 8),
    "stall_seconds": ("99", lambda s: s.load.stall_seconds == 99),
    "lease_seconds": ("30.5", lambda s: s.queue_policy.lease_seconds == 30.5),
    "beat_seconds": ("2", lambda s: s.queue_policy.beat_seconds == 2),
    "max_deliveries": ("4", lambda s: s.queue_policy.max_deliveries == 4),
    "max_releases": ("5", lambda s: s.queue_policy.max_releases == 5),
    "max_retries": ("6", lambda s: s.queue_policy.max_retries == 6),
    "result_seconds": ("600", lambda s: s.queue_policy.result_seconds == 600),
    "dead_letter_seconds": ("900", lambda s: s.queue_policy.dead_letter_seconds == 900),
    "dead_letter_max_length": ("70", lambda s: s.queue_policy.dead_letter_max_length == 70),
    "http_host": ("0.0.0.0", lambda s: s.process.http_host == "0.0.0.0"),
    "http_port": ("0", lambda s: s.process.http_port == 0),
    "log_level": ("debug", lambda s: s.process.log_level == "debug"),
    "scratch": ("/", lambda s: s.process.scratch == Path("/")),
    "model": ("small", lambda s: s.engine.model == "small"),
    "queue": ("team-a.calls", lambda s: s.queue_id == "team-a.calls"),
    "redis": ("redis://192.0.2.1/5", lambda s: s.redis.url == "redis://192.0.2.1/5"),
}


def test_every_option_is_tried_below():
    # There is one engine, so nothing to change.
    assert set(CHANGED) == set(OPTIONS) - {"engine"}


@pytest.mark.parametrize("name", sorted(CHANGED))
def test_a_setting_comes_by_option_or_variable(settings_of, name):
    value, has_come = CHANGED[name]
    model = [] if name == "model" else ["--model", "demo"]
    assert not has_come(settings_of("--model", "demo"))
    option = OPTIONS[name]
    if name not in {"vad", "allow_http"}:
        assert has_come(settings_of(*model, option.opts[0], value))
    assert has_come(settings_of(*model, **{option.envvar: value}))


def test_switches(settings_of):
    assert not settings_of("--model", "demo", "--no-vad").segmentation.vad
    assert settings_of("--model", "demo", "--allow-http").fetching.allow_http


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "--model"),
        (["--device", "tpu"], "--device"),
        (["--engine", "none"], "--engine"),
        (["--beat-seconds", "50"], "beat_seconds is 50"),
        (["--max-window-seconds", "60"], "max_window_seconds is 60"),
        (["--allowed-networks", "here"], "'here' is not a network"),
        (["--tenants", "acme:corp"], "'acme:corp' cannot name a priority or a tenant"),
        (["--priorities", ":1"], "'' cannot name a priority or a tenant"),
        (["--priorities", "high:1,high:2"], "a priority stands twice"),
        (["--allowed-hosts", "https://example.org"], "allowed host 'https://example.org'"),
        (["--scratch", "/does/not/exist"], "does not exist"),
        (["--drain-seconds", "0"], "drain_seconds is 0"),
        (["--max-audio-seconds", "-1"], "max_audio_seconds is -1"),
        (["--max-audio-seconds", "inf"], "max_audio_seconds is inf"),
        (["--result-seconds", "0.0001"], "result_seconds is 0.0001"),
        (["--max-retries", "1" + "0" * 20], "max_retries is 1"),
        (["--dead-letter-max-length", "1" + "0" * 20], "dead_letter_max_length is 1"),
        (["--max-in-flight", "1" + "0" * 20], "max_in_flight is 1"),
        (["--http-port", "70000"], "http_port is 70000"),
        (["--redis", "redis://127.0.0.1:6379/abc"], "a database that is no number"),
        (["--queue", "not a queue"], "use 1 to 127 letters"),
    ],
)
def test_a_setting_that_cannot_be_is_a_usage_error(invoke, arguments, sentence):
    model = ["--model", "demo"] if arguments else []
    done = invoke("worker", *model, *arguments)
    assert done.exit_code == 2
    assert sentence in " ".join(done.stderr.split())


SECONDS = sorted(name for name, option in OPTIONS.items() if name.endswith("_seconds"))


def test_there_are_times_to_try():
    assert {"result_seconds", "cache_seconds", "fetch_timeout_seconds", "drain_seconds"} <= set(
        SECONDS
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name in SECONDS for value in ("inf", "-inf", "nan", "1e16")],
)
def test_a_time_that_redis_or_a_clock_cannot_hold_is_refused_at_the_start(invoke, name, value):
    done = invoke("worker", "--model", "demo", OPTIONS[name].opts[0], value)
    assert done.exit_code == 2
    assert "error: " in done.stderr
    assert f"{name} is " in done.stderr


def test_a_scratch_directory_without_the_right_to_write_is_refused_before_anything(
    invoke, tmp_path, monkeypatch
):
    monkeypatch.setattr(os, "access", lambda _, mode: not mode & os.W_OK)
    done = invoke("worker", "--model", "demo", "--scratch", str(tmp_path))
    assert done.exit_code == 2
    assert "cannot be written; mount a volume that can" in done.stderr


def test_a_model_that_is_not_there(start):
    process = start("worker", "--model", "/no/such/model", "--http-port", "0")
    _, log = process.communicate(timeout=100)
    assert process.returncode == 4
    assert (
        "there is no model directory /no/such/model" in json.loads(log.splitlines()[-1])["message"]
    )


def test_sigterm_ends_a_worker_in_order(start):
    process = start("worker", "--model", "demo", "--http-port", "0", "--device", "cpu")
    messages = []
    for line in process.stderr:
        messages.append(json.loads(line)["message"])
        if messages[-1] == "ready":
            process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert messages[-1] == "drained"

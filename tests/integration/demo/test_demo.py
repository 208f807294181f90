"""`whisperfleet demo` as a person runs it: real server, worker, model, and nothing left behind."""

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from support.servers import wait_for
from whisperfleet.cli.app import app
from whisperfleet.demo import clips as clips_module
from whisperfleet.demo.clips import demo_clips
from whisperfleet.demo.run import run_demo
from whisperfleet.demo.worker import DemoError
from whisperfleet.errors import ConfigurationError


@pytest.fixture
def demo():
    """Start `whisperfleet demo`; it is gone after the test."""
    started = []

    def begin(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-m", "whisperfleet", "demo", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def descendants(pid):
    """Return the processes that came from `pid`, with their command lines."""
    found = {}
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        # A process may end while one looks.
        with suppress(OSError):
            for child in map(int, task.read_text().split()):
                command = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ")
                found |= {child: command.decode(), **descendants(child)}
    return found


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_every_word_is_right_and_it_works_twice(demo):
    with socket.socket() as taken:
        # The usual port is not free, whether another program has it or this test.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            taken.bind(("127.0.0.1", 6379))
            taken.listen()
        process = demo("--json")
        printed, said = process.communicate(timeout=100)
        shown = demo()
        table, _ = shown.communicate(timeout=100)
    assert (process.returncode, shown.returncode, said) == (0, 0, "")
    assert_shows_what_was_said_and_the_commands(table)
    document = json.loads(printed)
    assert document["wrong_words"] == 0, document["clips"]
    assert [clip["clip"] for clip in document["clips"]] == [clip.name for clip in demo_clips()]
    for clip in document["clips"]:
        assert clip["heard"] == clip["said"]
        assert clip["state"] == "done"
        assert 0 < clip["timing"]["engine"] <= clip["timing"]["total"]
    assert document["seconds"] < 20
    assert 0 < document["ready_seconds"] < document["seconds"]


def assert_shows_what_was_said_and_the_commands(printed):
    for clip in demo_clips():
        assert clip.name in printed
    assert "redis-cli -p" in printed
    assert "XADD 'wf:{demo.whisperfleet}:in:normal' '*' url file://" in printed
    assert "-x XADD 'wf:{demo.whisperfleet}:in:normal' '*' audio <" in printed
    words = sum(len(clip.words) for clip in demo_clips())
    assert f"{words} of {words} words are right" in printed


@pytest.mark.parametrize(
    ("how", "when"),
    [
        (signal.SIGINT, "the server runs"),
        (signal.SIGTERM, "the server runs"),
        (signal.SIGTERM, "the worker runs"),
        (signal.SIGINT, "the worker has children"),
    ],
)
def test_whatever_ends_it_leaves_no_process(demo, how, when):
    process = demo()

    def begun():
        running = descendants(process.pid)
        match when:
            case "the server runs":
                return len(running) >= 1
            case "the worker runs":
                return any("whisperfleet worker" in command for command in running.values())
            case _:
                return len(running) >= 4

    wait_for(begun, when, 60)
    left_behind = descendants(process.pid)
    process.send_signal(how)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in said
    wait_for(
        lambda: not any(map(is_alive, left_behind)),
        f"the end of {[c for pid, c in left_behind.items() if is_alive(pid)]}",
    )


def test_a_wrong_word_is_an_error(monkeypatch):
    first, *_ = demo_clips()
    altered = replace(first, words=(*first.words[:-1], "night"))
    monkeypatch.setattr(clips_module, "demo_clips", lambda: [altered])
    shown = CliRunner().invoke(app, ["demo", "--json"])
    assert shown.exit_code == 1
    assert json.loads(shown.stdout)["wrong_words"] == 1
    assert "1 words are wrong" in shown.stderr


def test_a_clip_without_words_is_an_error(monkeypatch, tmp_path):
    first, *_ = demo_clips()
    (tmp_path / "noise.ogg").write_bytes(os.urandom(1000))
    broken = replace(first, path=tmp_path / "noise.ogg")
    monkeypatch.setattr(clips_module, "demo_clips", lambda: [broken])
    shown = CliRunner().invoke(app, ["demo"])
    assert shown.exit_code == 1
    assert "noise: failed (not_audio)" in shown.stderr
    assert f"0 of {len(first.words)} words are right" in shown.stdout


def test_a_worker_that_cannot_start_is_told_with_its_last_words(monkeypatch):
    monkeypatch.setattr("whisperfleet.demo.run._MODEL", "/no/such/model")
    with pytest.raises(DemoError, match="there is no model directory /no/such/model"):
        run_demo(demo_clips(), lambda _: None, lambda _: None)


def test_clips_that_are_gone_are_told(tmp_path):
    with pytest.raises(ConfigurationError, match=r"clips\.json cannot be read"):
        clips_module.read_clips(tmp_path)

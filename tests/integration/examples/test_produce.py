"""Each producer of docs/produce.md gets words from a real worker, and says why there are none."""

import json
import os
import sys
from pathlib import Path

import pytest

from support.audio.files import clips
from support.examples.producers import PRODUCE, Producer
from support.queue.consumers import take
from support.servers import wait_for
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.result import Result, Transcript
from whisperfleet.contract.states import State
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.queue import Concluded, WorkQueue

in_each_language = pytest.mark.parametrize(
    "producer", ["python", "go", "node", "redis-cli"], indirect=True
)


@in_each_language
def test_a_file_becomes_words(
    producer: Producer, fleet: str, any_server: EmbeddedServer, tmp_path: Path
):
    audio, said = clips()[0]
    file = tmp_path / "clip.ogg"
    file.write_bytes(audio)
    done = producer.run(str(file), any_server.url, fleet)
    assert (done.returncode, done.stdout) == (0, f"{said}\n"), done.stderr


@in_each_language
def test_it_says_why_there_are_no_words(producer: Producer, fleet: str, any_server: EmbeddedServer):
    done = producer.run("http://example.org/clip.ogg", any_server.url, fleet)
    assert (done.returncode != 0, done.stdout) == (True, ""), done.stderr
    assert "failed" in done.stderr
    assert "scheme_refused" in done.stderr


def test_many_files_at_once(fleet: str, any_server: EmbeddedServer):
    many = Producer([sys.executable, str(PRODUCE / "python/produce_async.py"), "http://a.test/1"])
    done = many.run("http://a.test/2", any_server.url, fleet)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert "scheme_refused" in first
    assert "scheme_refused" in second
    assert first != second


@in_each_language
def test_redis_may_restart_while_it_waits(producer: Producer, queue_id: str):
    with EmbeddedServer(append_only=True) as server:
        process = producer.start("https://example.org/a.ogg", server.url, queue_id)
        try:
            with server.settings.connect() as admin:
                wait_for(lambda: any(is_waiting(c) for c in admin.client_list()), "it waits", 60)
            server.restart()
            with server.settings.connect() as connection:
                worker = WorkQueue(connection, Keys(queue_id), "test-worker")
                claim = take(worker)
                said = Transcript(
                    text="hello world",
                    language="en",
                    language_probability=1.0,
                    duration=1.0,
                    duration_after_vad=1.0,
                )
                worker.settle(claim, Concluded(Result(id="", state=State.DONE, transcript=said)))
                printed, complaints = process.communicate(timeout=60)
        finally:
            process.kill()
            process.communicate()
    assert (process.returncode, printed) == (0, "hello world\n"), complaints


def is_waiting(client: dict[str, str]) -> bool:
    return client["cmd"].startswith("xread")


@pytest.mark.parametrize("producer", ["redis-cli"], indirect=True)
def test_the_shell_gives_up_after_ten_minutes(
    producer: Producer, any_server: EmbeddedServer, tmp_path: Path
):
    clock, looks = tmp_path / "date", tmp_path / "looks"
    # Each look at it is five minutes after the one before.
    clock.write_text(f"#!/bin/sh\necho >> {looks}\necho $(($(wc -l < {looks}) * 300))\n")
    clock.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = producer.run("http://example.org/a.ogg", any_server.url, "test.nobody", PATH=path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "has not ended within 600 s; it goes on" in done.stderr
    assert len(looks.read_text().splitlines()) == 3


def test_no_lock_records_the_address_of_a_registry():
    lock = json.loads((PRODUCE / "node/package-lock.json").read_text("utf-8"))
    packages = [package for name, package in lock["packages"].items() if name]
    assert packages
    for package in packages:
        assert package["integrity"].startswith("sha512-")
        assert "resolved" not in package

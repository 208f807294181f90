"""`cancel`, `dlq` and `queue`, with the test as the worker."""

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from contextlib import suppress

import pytest

from whisperfleet.client import Admin, Client
from whisperfleet.contract.codes import Code
from whisperfleet.contract.job import Job
from whisperfleet.contract.keys import Priority
from whisperfleet.contract.result import Result
from whisperfleet.contract.states import State
from whisperfleet.contract.usage import Usage
from whisperfleet.queue import Buried, Concluded

SECRET = "https://example.org/talk.ogg?signature=secret"


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_cancel_a_job_that_waits(invoke, client):
    job_id = client.submit(Job(url=SECRET))
    done = invoke("cancel", job_id)
    assert done.exit_code == 0
    assert f"{job_id}: cancelled before it began" in done.stdout
    assert invoke("status", job_id).exit_code == 1
    assert client.result(job_id).state is State.CANCELLED


def test_cancel_a_job_that_runs_and_one_that_has_ended(invoke, client, work_queue):
    job_id = client.submit(Job(url=SECRET))
    claim = work_queue.claim()
    assert lines(invoke("cancel", job_id, "--json").stdout) == [{"id": job_id, "answer": "running"}]
    work_queue.settle(claim, Concluded(Result(id=job_id, state=State.CANCELLED)))
    late = invoke("cancel", job_id)
    assert late.exit_code == 1
    assert "too late" in late.stderr
    assert f"whisperfleet result {job_id}" in late.stderr


@pytest.fixture
def letter(client, admin, work_queue):
    """Return the id of a dead letter, and that of its job."""
    job_id = client.submit(Job(url=SECRET, prompt="a secret name", metadata={"call": 7}))
    failure = ValueError(SECRET)
    work_queue.settle(
        work_queue.claim(), Buried(Code.DECODER_CRASHED, "the decoder crashed", failure)
    )
    ((letter_id, _),) = admin.dead_letters()
    return letter_id, job_id


def test_list_and_show_dead_letters(invoke, letter):
    letter_id, job_id = letter
    listed = invoke("dlq", "list")
    assert letter_id in listed.stdout
    assert job_id in listed.stdout
    assert "decoder_crashed" in listed.stdout
    shown = invoke("dlq", "show", letter_id)
    assert shown.exit_code == 0
    assert "the decoder crashed" in shown.stdout
    assert "https://example.org/talk.ogg" in shown.stdout
    (document,) = lines(invoke("dlq", "list", "--json").stdout)
    assert document["job"] == job_id
    assert document["fields"]["metadata"] == '{"call":7}'
    assert lines(invoke("dlq", "show", letter_id, "--json").stdout) == [document]
    assert "secret" not in listed.output + shown.output + json.dumps(document)


LONG_ID = "call-" + "0123456789" * 12


def on_a_terminal(environment, *arguments, columns=80):
    """Run a command on a terminal of so many columns, and return what it wrote there."""
    mine, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    command = [sys.executable, "-m", "whisperfleet", *arguments]
    with subprocess.Popen(command, env=environment, stdin=its, stdout=its, stderr=its):
        os.close(its)
        written = b""
        # Linux answers with an error once nobody has the other end any more.
        with suppress(OSError):
            while piece := os.read(mine, 4096):
                written += piece
    os.close(mine)
    return written.decode()


def test_a_list_of_dead_letters_has_whole_ids(invoke, environment, client, admin, work_queue):
    client.submit(Job(url=SECRET, id=LONG_ID))
    work_queue.settle(work_queue.claim(), Buried(Code.DECODER_CRASHED, "the decoder crashed"))
    ((letter_id, _),) = admin.dead_letters()
    for listed in (invoke("dlq", "list").stdout, on_a_terminal(environment, "dlq", "list")):
        (row,) = [line for line in listed.splitlines() if LONG_ID in line]
        # Plain columns, each of one word: what `awk` reads.
        letter, job, _, code, *counts = row.split()
        assert (letter, job, code) == (letter_id, LONG_ID, "decoder_crashed")
        assert counts == ["1", "0", "0"]


def test_a_letter_whose_id_tells_no_time_is_listed(invoke, client):
    fields = {"id": "a", "stream": "normal", "entry": "1-1", "code": "of_tomorrow", "message": "m"}
    letter_id = "1790000000123456789-0"
    client._redis.xadd(client.keys.dead_letters, fields, id=letter_id)
    row = invoke("dlq", "list").stdout.splitlines()[1]
    assert row.split() == [letter_id, "a", "-", "of_tomorrow", "0", "0", "0"]
    assert invoke("dlq", "show", letter_id).exit_code == 0
    (document,) = lines(invoke("dlq", "list", "--json").stdout)
    assert (document["died_at"], document["code"]) == (None, "of_tomorrow")


@pytest.mark.parametrize("entry", ["1790000000123456-0", "1790000000123456789-0"])
def test_entry_ids_of_a_producers_own_give_no_date(invoke, client, work_queue, entry):
    client._redis.xadd(client.keys.stream("normal"), {"url": SECRET}, id=entry)
    job_id = f"normal-{entry}"
    claims = []
    for _ in ("waits", "runs"):
        shown = invoke("status", job_id)
        assert (shown.exit_code, "queued at" in shown.stdout) == (6, False), shown.output
        (document,) = lines(invoke("queue", "stats", "--json").stdout)
        assert document["streams"][1]["oldest_enqueued_at"] is None
        assert invoke("queue", "stats").stdout.splitlines()[2].split()[3] == "-"
        claims.append(work_queue.claim())
    work_queue.settle(claims[0], Concluded(Result(id=job_id, state=State.DONE)))
    assert invoke("status", job_id).exit_code == 0


def test_statistics_have_the_whole_names_of_streams(invoke, environment, any_server, queue_id):
    priority = Priority("p" * 63, 1)
    tenant = "t" * 63
    with Client(
        any_server.settings, queue_id, priorities=(priority,), tenant=tenant, own_stream=True
    ) as producer:
        producer.submit(Job(url=SECRET), priority.name)
    shown = (invoke("queue", "stats").stdout, on_a_terminal(environment, "queue", "stats"))
    for table in shown:
        assert f"{priority.name}:{tenant}" in table
        assert "…" not in table


@pytest.mark.usefixtures("letter")
def test_a_letter_that_cannot_be_read_is_no_letter(invoke, client, admin):
    ((good, _),) = admin.dead_letters()
    broken = client._redis.xadd(client.keys.dead_letters, {"code": "of_tomorrow"}).decode()
    for unreadable in (broken, "7", "letter"):
        for command in ("show", "redrive"):
            done = invoke("dlq", command, unreadable)
            assert done.exit_code == 1, done.output
            assert "no such dead letter that can be read" in done.stderr
    assert invoke("dlq", "redrive", good).exit_code == 0


def test_redrive_once(invoke, letter, work_queue):
    letter_id, job_id = letter
    done = invoke("dlq", "redrive", letter_id)
    assert done.exit_code == 0
    assert "sent again" in done.stdout
    assert work_queue.claim().job_id == job_id
    again = invoke("dlq", "redrive", letter_id)
    assert again.exit_code == 1
    assert "no such dead letter" in again.stderr
    assert invoke("dlq", "show", letter_id).exit_code == 1


def test_drop_a_letter(invoke, letter, client):
    letter_id, job_id = letter
    done = invoke("dlq", "drop", letter_id)
    assert (done.exit_code, done.stdout) == (
        0,
        f"{letter_id}: forgotten; the id of its job is free\n",
    )
    assert client.status(job_id) is None
    again = invoke("dlq", "drop", letter_id, job_id, "--json")
    assert again.exit_code == 1
    assert [line["answer"] for line in lines(again.stdout)] == ["unknown", "unknown"]
    waiting = client.submit(Job(url=SECRET, id="call-7"))
    assert invoke("dlq", "drop", waiting).exit_code == 1


def test_drop_a_dead_job_whose_letter_somebody_deleted(invoke, letter, client):
    letter_id, job_id = letter
    client._redis.xdel(client.keys.dead_letters, letter_id)
    assert invoke("dlq", "drop", job_id).exit_code == 0
    assert client.status(job_id) is None


def test_redrive_all(invoke, letter):
    letter_id, _ = letter
    assert lines(invoke("dlq", "redrive", "--all", "--json").stdout) == [
        {"id": letter_id, "answer": "redriven"}
    ]
    assert invoke("dlq", "list", "--json").stdout == ""


@pytest.mark.parametrize("arguments", [[], ["1-1", "--all"]])
def test_redrive_wants_letters_or_all(invoke, arguments):
    done = invoke("dlq", "redrive", *arguments)
    assert done.exit_code == 2
    assert "name the letters" in done.stderr


def test_stats(invoke, client, work_queue):
    for _ in range(3):
        client.submit(Job(url=SECRET))
    work_queue.claim()
    (document,) = lines(invoke("queue", "stats", "--json").stdout)
    loads = {
        stream["source"]: (stream["length"], stream["running"]) for stream in document["streams"]
    }
    assert loads == {"high": (0, 0), "normal": (3, 1), "low": (0, 0)}
    shown = invoke("queue", "stats").stdout
    (row,) = [line for line in shown.splitlines() if "normal" in line]
    assert row.split()[:3] == ["normal", "2", "1"]


MEASURED = Usage(audio_seconds=61.5, speech_seconds=42.25, windows=3, device_seconds=1.5)


@pytest.fixture
def usage(client, work_queue):
    """Two jobs of a tenant that ended, and one of nobody's; return them without the waiting."""
    for priority, tenant in (("normal", "acme"), ("normal", "acme"), ("high", None)):
        client.submit(Job(url=SECRET, tenant=tenant), priority)
        claim = work_queue.claim()
        result = Result(id=claim.job_id, state=State.DONE, usage=MEASURED)
        work_queue.settle(claim, Concluded(result))
    waited = {"normal/acme/queue_ms": 1250, "high//queue_ms": 0}
    client._redis.hset(client.keys.usage, mapping=waited | {"normal/acme/of_tomorrow": 7})
    once = {"cached": 0, "attempts": 1, "windows": 3, "audio_seconds": 61.5}
    once |= {"speech_seconds": 42.25, "device_seconds": 1.5}
    twice = {name: 2 * amount for name, amount in once.items()}
    return [
        {"tenant": None, "priority": "high", "jobs": 1, **once, "queue_seconds": 0.0},
        {"tenant": "acme", "priority": "normal", "jobs": 2, **twice, "queue_seconds": 1.25},
    ]


def test_stats_have_the_usage_of_each_tenant(invoke, usage):
    (document,) = lines(invoke("queue", "stats", "--json").stdout)
    assert document["usage"] == usage
    *_, heading, nobodys, acmes = invoke("queue", "stats").stdout.splitlines()
    assert heading.split()[:3] == ["tenant", "priority", "jobs"]
    assert nobodys.split() == "- high 1 0 1 3 61.500 42.250 1.500 0.000".split()
    assert acmes.split() == "acme normal 2 0 2 6 123.000 84.500 3.000 1.250".split()


@pytest.mark.usefixtures("usage")
def test_an_administrator_of_one_tenant_sees_its_usage_alone(any_server, queue_id):
    with Admin(any_server.settings, queue_id, tenant="acme") as admin:
        assert [(used.tenant, used.jobs) for used in admin.usage()] == [("acme", 2)]


def test_a_name_that_somebody_made_up_does_nothing_to_a_terminal(invoke, client):
    client._redis.hset(client.keys.usage, "normal/\x1b[2Ja/b/jobs", 1)
    shown = invoke("queue", "stats").stdout.splitlines()[-1]
    assert shown.split()[:3] == ["'\\x1b[2Ja/b'", "normal", "1"]


@pytest.fixture
def everywhere(client, any_server, queue_id):
    """Jobs of a tenant with streams of its own, and of a priority of the queue's own."""
    acme = Client(any_server.settings, queue_id, tenant="acme", own_stream=True)
    urgent = Client(any_server.settings, queue_id, priorities=(Priority("now", 1),))
    with acme, urgent:
        yield [
            client.submit(Job(url=SECRET)),
            acme.submit(Job(url=SECRET), "high"),
            urgent.submit(Job(url=SECRET, id="urgent"), "now"),
            urgent.submit(Job(url=SECRET), "now"),
        ]


@pytest.mark.usefixtures("everywhere")
def test_stats_of_every_stream_there_is(invoke, client):
    client._redis.set(f"{client.keys.prefix}in:string", "not a stream")
    client._redis.xadd(f"{client.keys.prefix}in:a:b:c", {"not": "a name"})
    (document,) = lines(invoke("queue", "stats", "--json").stdout)
    lengths = {stream["source"]: stream["length"] for stream in document["streams"]}
    assert lengths == {"high": 0, "normal": 1, "low": 0, "high:acme": 1, "now": 2}
    shown = invoke("queue", "stats").stdout
    assert "high:acme" in shown
    assert "now" in shown


def test_purge_of_every_stream_there_is(invoke, client, everywhere):
    done = invoke("queue", "purge", "--yes", "--json")
    assert json.loads(done.stdout) == {"cancelled": 4}
    for job_id in everywhere:
        assert client.result(job_id).state is State.CANCELLED


@pytest.mark.usefixtures("everywhere")
def test_drop_counts_what_is_in_every_stream(invoke, any_server, keys):
    refused = invoke("queue", "drop", stdin=b"n\n")
    assert "4 jobs that have not ended" in refused.stderr
    assert invoke("queue", "drop", "--yes").exit_code == 0
    with any_server.settings.connect() as raw:
        assert raw.keys(f"{keys.prefix}*") == []


def test_status_and_cancel_wherever_a_job_waits(invoke, client, everywhere):
    for job_id in (everywhere[1], everywhere[3]):
        (document,) = lines(invoke("status", job_id, "--json").stdout)
        assert document["state"] == "queued"
        done = invoke("cancel", job_id)
        assert "cancelled before it began" in done.stdout, done.stderr
        assert client.result(job_id).state is State.CANCELLED


def test_submit_with_a_priority_of_the_queues_own(invoke, keys, any_server):
    refused = invoke("submit", SECRET, "--priority", "now")
    assert refused.exit_code == 2
    assert "there is no priority 'now'" in refused.stderr
    for priorities in (["--priorities", "now,later"], []):
        done = invoke(
            "submit",
            SECRET,
            "--priority",
            "now",
            *priorities,
            WHISPERFLEET_PRIORITIES="now:8,bulk:1",
        )
        assert done.exit_code == 0, done.stderr
        assert done.stdout.startswith("now-")
    with any_server.settings.connect() as raw:
        assert raw.xlen(keys.stream("now")) == 2
    empty = invoke("submit", SECRET, "--priorities", ",")
    assert empty.exit_code == 2
    assert "--priorities names none" in empty.stderr


def test_purge_asks_first(invoke, client, admin):
    client.submit(Job(url=SECRET))
    refused = invoke("queue", "purge", stdin=b"n\n")
    assert refused.exit_code == 1
    assert admin.stats().streams[1].length == 1
    done = invoke("queue", "purge", "--yes", "--json")
    assert json.loads(done.stdout) == {"cancelled": 1}
    assert admin.stats().streams[1].length == 0


@pytest.mark.usefixtures("letter")
def test_drop_asks_first_and_says_what_goes(invoke, client, admin):
    client.submit(Job(url=SECRET))
    refused = invoke("queue", "drop", stdin=b"n\n")
    assert refused.exit_code == 1
    assert "1 jobs that have not ended, 1 dead letters" in refused.stderr
    assert admin.stats().streams[1].length == 1
    done = invoke("queue", "drop", "--yes", "--json")
    assert json.loads(done.stdout)["keys"] > 0
    assert admin.stats().dead_letters == 0
    assert admin.stats().totals == {}

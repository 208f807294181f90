"""`result`, `status` and `submit --wait`, with the test as the worker."""

import json
import os
import signal

import pytest
import redis

from support.queue.consumers import take
from support.servers import wait_for
from whisperfleet.client import Client
from whisperfleet.contract.codes import Code
from whisperfleet.contract.job import Format, Job, Task
from whisperfleet.contract.keys import Keys
from whisperfleet.contract.result import Failure, Result, Segment, Transcript
from whisperfleet.contract.states import State
from whisperfleet.contract.warnings import ResultWarning, WarningCode
from whisperfleet.demo.server import EmbeddedServer
from whisperfleet.formats import render
from whisperfleet.queue import Concluded, WorkQueue
from whisperfleet.queue.access import reader_rules


def a_transcript(text):
    segments = tuple(
        Segment(
            start=2.0 * i,
            end=2.0 * i + 1.5,
            text=f" {word}",
            avg_logprob=-0.1,
            no_speech_prob=0.0,
            compression_ratio=1.0,
            temperature=0.0,
        )
        for i, word in enumerate(text.split())
    )
    return Transcript(
        text=text,
        language="en",
        language_probability=1.0,
        duration=10.0,
        duration_after_vad=8.0,
        segments=segments,
    )


@pytest.fixture
def finish(work_queue):
    """Claim the next job and end it: with words, or with the code of a failure."""

    def end(words="hello world", failure=None, warnings=()):
        wait_for(lambda: claims or claims.extend(filter(None, [work_queue.claim()])), "a job")
        claim = claims.pop()
        job = Job.from_fields(claim.fields)
        if failure:
            message = "send another file"
            outcome = {"state": State.FAILED, "error": Failure(code=failure, message=message)}
        else:
            transcript = a_transcript(words)
            outcome = {
                "state": State.DONE,
                "transcript": transcript,
                "warnings": warnings,
                "renderings": {f: render(transcript, job.task, f) for f in job.formats},
            }
        work_queue.settle(claim, Concluded(Result(id=claim.job_id, epoch=claim.epoch, **outcome)))
        return claim.job_id

    claims = []
    return end


@pytest.fixture
def job_id(client):
    """A job that waits."""
    return client.submit(Job(audio=b"audio"))


def test_result_prints_the_words(invoke, job_id, finish):
    finish("hello world")
    assert invoke("result", job_id).stdout == "hello\nworld\n"
    assert invoke("result", job_id).exit_code == 0


@pytest.mark.parametrize("format_", Format)
def test_result_in_every_format(invoke, job_id, finish, format_):
    finish("hello world")
    done = invoke("result", job_id, "--format", format_)
    expected = render(a_transcript("hello world"), Task.TRANSCRIBE, format_)
    assert done.stdout.rstrip("\n") == expected.rstrip("\n")


def test_result_as_json_is_the_whole_result(invoke, job_id, finish, client):
    finish()
    done = invoke("result", job_id, "--json")
    assert Result.model_validate_json(done.stdout) == client.result(job_id)
    assert "source" not in json.loads(done.stdout)


def test_result_of_a_failure(invoke, job_id, finish):
    finish(failure=Code.NOT_AUDIO)
    done = invoke("result", job_id)
    assert done.exit_code == 1
    assert done.stdout == ""
    assert f"{job_id}: failed (not_audio): send another file" in done.stderr
    with_json = invoke("result", job_id, "--json")
    assert with_json.exit_code == 1
    assert json.loads(with_json.stdout)["error"]["code"] == "not_audio"


WARNING = ResultWarning(code=WarningCode.CUT_SHORT, message="it ends early; send all of it")


def test_what_the_words_lack_is_told_beside_them(invoke, client, finish):
    ids = [client.submit(Job(audio=name)) for name in (b"a", b"b")]
    finish("one", warnings=(WARNING, ResultWarning(code="of_tomorrow", message="something new")))
    finish("two")
    done = invoke("result", *ids)
    assert done.exit_code == 0
    assert done.stdout == f"==> {ids[0]} <==\none\n==> {ids[1]} <==\ntwo\n"
    assert done.stderr.splitlines() == [
        f"{ids[0]}: warning (cut_short): it ends early; send all of it",
        f"{ids[0]}: warning (of_tomorrow): something new",
    ]
    first, second = map(json.loads, invoke("result", *ids, "--json").stdout.splitlines())
    assert first["warnings"][0] == {"code": "cut_short", "message": "it ends early; send all of it"}
    assert second["warnings"] == []


JAPANESE = "こんにちは 世界 🎧"


@pytest.mark.parametrize(
    ("surroundings", "shown"),
    [
        ({"PYTHONIOENCODING": "latin-1"}, r"\u3053\u3093\u306b\u3061\u306f"),
        ({"PYTHONIOENCODING": "ascii"}, r"\u3053\u3093\u306b\u3061\u306f"),
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, r"\u3053"),
        ({"PYTHONIOENCODING": "utf-8"}, "こんにちは"),
    ],
    ids=["latin-1", "ascii", "C", "utf-8"],
)
def test_words_that_a_terminal_cannot_show_are_escaped(start, client, finish, surroundings, shown):
    ids = [client.submit(Job(audio=name)) for name in (b"a", b"b")]
    finish(JAPANESE)
    finish("plain words")
    process = start("result", *ids, **surroundings)
    printed, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, "")
    assert shown in printed
    assert printed.endswith(f"==> {ids[1]} <==\nplain\nwords\n")
    process = start("result", *ids, "--json", **surroundings)
    documents = [json.loads(line) for line in process.communicate(timeout=60)[0].splitlines()]
    assert [d["transcript"]["text"] for d in documents] == [JAPANESE, "plain words"]


@pytest.mark.parametrize("more", [[], ["--json"]], ids=["text", "json"])
def test_a_file_whose_name_is_not_utf8_gives_words(start, tmp_path, finish, more):
    paths = [tmp_path / os.fsdecode(b"r\xe9union.ogg"), tmp_path / "b.ogg"]
    for path in paths:
        path.write_bytes(b"audio of " + os.fsencode(path))
    process = start("submit", *map(str, paths), "--wait", "--timeout", "100", *more)
    finish("first")
    finish("second")
    printed, said = process.communicate(timeout=100)
    assert (process.returncode, said) == (0, "")
    if more:
        first, second = map(json.loads, printed.splitlines())
        assert first["source"].endswith("r\udce9union.ogg")
        assert second["transcript"]["text"] == "second"
    else:
        assert printed.endswith(f"r\\udce9union.ogg <==\nfirst\n==> {paths[1]} <==\nsecond\n")


def test_result_of_a_job_that_waits(invoke, job_id):
    done = invoke("result", job_id)
    assert done.exit_code == 6
    assert "still queued" in done.stderr
    assert json.loads(invoke("result", job_id, "--json").stdout) == {
        "id": job_id,
        "state": "queued",
    }


def test_several_results_have_their_names_above_them(invoke, client, finish):
    ids = [client.submit(Job(audio=name)) for name in (b"a", b"b")]
    finish("one")
    finish("two")
    assert invoke("result", *ids).stdout == f"==> {ids[0]} <==\none\n==> {ids[1]} <==\ntwo\n"


def test_a_failure_outweighs_what_is_unfinished(invoke, client, finish):
    ids = [client.submit(Job(audio=name)) for name in (b"a", b"b")]
    finish(failure=Code.EMPTY)
    assert invoke("result", *ids).exit_code == 1
    assert invoke("status", *ids).exit_code == 1


@pytest.fixture
def take_result(any_server, keys):
    """Delete the result of a job, as who reads it once may do."""
    with any_server.settings.connect() as connection:
        yield lambda job_id: connection.delete(keys.result(job_id))


def test_a_result_that_is_gone_has_an_exit_code_of_its_own(invoke, job_id, finish, take_result):
    finish()
    take_result(job_id)
    gone = invoke("result", job_id)
    assert (gone.exit_code, gone.stdout) == (7, "")
    assert f"{job_id}: done, and its result is gone" in gone.stderr
    assert json.loads(invoke("result", job_id, "--json").stdout) == {"id": job_id, "state": "done"}
    assert invoke("status", job_id).exit_code == 0


def test_a_failure_whose_result_is_gone_is_a_failure(invoke, job_id, finish, take_result):
    finish(failure=Code.EMPTY)
    take_result(job_id)
    gone = invoke("result", job_id)
    assert gone.exit_code == 1
    assert "failed (empty), and its result is gone" in gone.stderr


@pytest.mark.parametrize("patience", [[], ["--timeout", "0.05"]], ids=["for ever", "a moment"])
def test_waiting_for_a_result_that_is_gone_ends(
    start, invoke, clips, finish, take_result, work_queue, patience
):
    asked = ["submit", clips[0], "--id", "call-7", "--wait", *patience]
    assert invoke("submit", clips[0], "--id", "call-7").exit_code == 0
    take_result(finish())
    process = start(*asked)
    if not patience:
        # A worker comes and sees that it is the same job.
        wait_for(lambda: work_queue.claim() or process.poll() is not None, "the wait ends", 60)
    printed, said = process.communicate(timeout=60)
    assert (process.returncode, printed) == (7, "")
    assert "done, and its result is gone" in said
    assert "submit it under another id" in said


def test_waiting_for_a_job_that_redis_has_lost_ends(invoke, clips, monkeypatch):
    whole = Client.submit

    def submit_and_lose(client, job, priority):
        job_id = whole(client, job, priority)
        client._redis.delete(client.keys.stream(priority))
        return job_id

    monkeypatch.setattr(Client, "submit", submit_and_lose)
    done = invoke("submit", clips[0], "--wait")
    assert (done.exit_code, done.stdout) == (7, "")
    assert "nothing is left of this job" in done.stderr


@pytest.mark.parametrize("word", ["queue", "priority"])
def test_a_queue_that_nobody_reads_is_named_at_once(invoke, clips, queue_id, work_queue, word):
    assert work_queue.claim() is None
    typo = ["--queue", f"{queue_id}x"]
    if word == "priority":
        typo = ["--priorities", "normal,nromal", "--priority", "nromal"]
    ended = invoke("submit", clips[0], "--wait", "--timeout", "0.05", *typo)
    assert ended.exit_code == 6
    assert ended.stderr.startswith("no worker has ever read this queue, wf:{")
    assert "a typo in --queue or --priority?" in ended.stderr
    right = invoke("submit", clips[0], "--wait", "--timeout", "0.05")
    assert "no worker" not in right.stderr


@pytest.mark.parametrize(
    ("rights", "sentence"),
    [
        (reader_rules(Keys("QUEUE")), "still queued"),
        # What 0.1.0 had in its documentation.
        (["~*", "+get", "+mget", "+xread", "+xrevrange"], "it has not ended"),
    ],
    ids=["documented", "of 0.1.0"],
)
def test_a_reader_learns_that_a_job_has_not_ended(
    invoke, any_server, queue_id, job_id, rights, sentence
):
    rules = [rule.replace("QUEUE", queue_id) for rule in rights]
    account = {"WHISPERFLEET_REDIS_USERNAME": "reader", "WHISPERFLEET_REDIS_PASSWORD": "p"}
    with any_server.settings.connect() as admin:
        admin.execute_command("ACL", "SETUSER", "reader", "reset", "on", ">p", *rules)
        try:
            done = invoke("result", job_id, **account)
        finally:
            admin.acl_deluser("reader")
    assert done.exit_code == 6, done.stderr
    assert sentence in done.stderr


@pytest.mark.parametrize("command", ["result", "status"])
def test_what_a_newer_version_wrote_is_no_traceback(invoke, client, finish, command):
    ids = [client.submit(Job(audio=name)) for name in (b"a", b"b", b"c")]
    for _ in ids:
        finish()
    newer, broken, _ = ids
    document = json.loads(client._redis.get(client.keys.result(newer)))
    document |= {
        "state": "paused",
        "error": {"code": "of_tomorrow", "message": "wait a little"},
        "finished_at": "tomorrow",
        "renderings": {"ttml": "<p>"},
    }
    client._redis.set(client.keys.result(newer), json.dumps(document))
    changes = {"state": "paused", "code": "of_tomorrow", "claimed": "tomorrow", "epoch": "first"}
    client._redis.hset(client.keys.job(newer), mapping=changes)
    client._redis.set(client.keys.result(broken), "not JSON")
    shown = invoke(command, *ids)
    assert shown.exception is None or isinstance(shown.exception, SystemExit)
    assert shown.exit_code == 1
    if command == "result":
        assert shown.stdout == f"==> {ids[2]} <==\nhello\nworld\n"
        assert f"{newer}: paused (of_tomorrow): wait a little" in shown.stderr
        assert f"{broken}: unreadable (unreadable_result)" in shown.stderr
    else:
        assert "state        paused\ncode         of_tomorrow\n" in shown.stdout
    first = json.loads(invoke(command, newer, "--json").stdout.splitlines()[0])
    assert first["state"] == "paused"


@pytest.mark.parametrize("command", ["result", "status"])
def test_a_job_that_nobody_knows(invoke, command):
    done = invoke(command, "nothing")
    assert done.exit_code == 6
    assert "nothing is known of this job" in done.stderr
    with_json = invoke(command, "nothing", "--json")
    assert json.loads(with_json.stdout) == {"id": "nothing", "state": None}


def test_status_through_a_life(invoke, job_id, work_queue):
    def status():
        shown = invoke("status", job_id, "--json")
        return shown.exit_code, json.loads(shown.stdout)

    code, waiting = status()
    assert (code, waiting["state"]) == (6, "queued")
    claim = work_queue.claim()
    code, running = status()
    assert (code, running["state"], running["epoch"]) == (6, "running", 1)
    assert running["worker"] == "test-worker"
    work_queue.settle(
        claim, Concluded(Result(id=job_id, state=State.DONE, transcript=a_transcript("a"), epoch=1))
    )
    code, done = status()
    assert (code, done["state"]) == (0, "done")
    text = invoke("status", job_id).stdout
    assert f"job          {job_id}\n" in text
    assert "state        done\n" in text


@pytest.fixture
def clips(tmp_path):
    paths = [tmp_path / "a.ogg", tmp_path / "b.ogg"]
    for path in paths:
        path.write_bytes(path.name.encode())
    return [str(path) for path in paths]


def test_wait_prints_words_in_the_order_of_the_files(start, clips, finish):
    process = start("submit", *clips, "--wait", "--timeout", "100")
    finish("first")
    finish("second words")
    printed, said = process.communicate(timeout=100)
    assert printed == f"==> {clips[0]} <==\nfirst\n==> {clips[1]} <==\nsecond\nwords\n"
    assert said == ""
    assert process.returncode == 0


def test_wait_prints_the_first_format(start, clips, finish):
    process = start("submit", clips[0], "--wait", "-f", "srt", "-f", "vtt", "--timeout", "100")
    finish("hello")
    assert process.communicate(timeout=100)[0] == "1\n00:00:00,000 --> 00:00:01,500\nhello\n"


def test_wait_with_json_and_a_failure(start, clips, finish):
    process = start("submit", *clips, "--wait", "--json", "--timeout", "100")
    ids = [finish("hello"), finish(failure=Code.EMPTY)]
    printed, said = process.communicate(timeout=100)
    documents = [json.loads(line) for line in printed.splitlines()]
    assert [document["source"] for document in documents] == clips
    assert [document["id"] for document in documents] == ids
    assert [document["state"] for document in documents] == ["done", "failed"]
    assert documents[0]["transcript"]["text"] == "hello"
    assert f"{clips[1]}: failed (empty)" in said
    assert process.returncode == 1


def test_wait_runs_out_of_time(invoke, clips):
    done = invoke("submit", clips[0], "--wait", "--timeout", "0.05")
    assert done.exit_code == 6
    assert done.stdout == ""
    assert "still queued; ask again with: whisperfleet result normal-" in done.stderr


def wait_until_it_waits(server):
    """Return once a command waits for results."""
    with server.settings.connect() as connection:
        wait_for(
            lambda: any(c["cmd"].startswith("xread") for c in connection.client_list()),
            "the command waits",
            60,
        )


def test_an_interrupted_wait_says_how_to_go_on(start, clips, own_server):
    process = start("submit", *clips, "--wait", "--redis", own_server.url)
    wait_until_it_waits(own_server)
    process.send_signal(signal.SIGINT)
    printed, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert printed == ""
    assert said.count("goes on: whisperfleet result normal-") == 2
    assert "Traceback" not in said


@pytest.fixture
def lasting_server(own_server):
    """A server of each kind that finds all of its data after a restart."""
    with EmbeddedServer(own_server.binary, append_only=True) as server:
        yield server


def test_redis_restarts_while_one_waits(start, clips, lasting_server, keys):
    server = lasting_server
    process = start("submit", clips[0], "--wait", "--timeout", "100", "--redis", server.url)
    wait_until_it_waits(server)
    server.restart()
    with server.settings.connect() as connection:
        queue = WorkQueue(connection, keys, "test-worker")
        queue.register()
        claim = take(queue)
        transcript = a_transcript("hello")
        queue.settle(
            claim, Concluded(Result(id=claim.job_id, state=State.DONE, transcript=transcript))
        )
    printed, said = process.communicate(timeout=100)
    assert (process.returncode, printed) == (0, "hello\n")
    # Nobody had when it was sent.
    assert said.startswith("no worker has ever read this queue, ")
    assert said.count("\n") == 1


def test_redis_goes_away_while_one_waits(start, clips, own_server):
    process = start("submit", clips[0], "--wait", "--timeout", "8", "--redis", own_server.url)
    wait_until_it_waits(own_server)
    own_server.kill()
    _, said = process.communicate(timeout=100)
    assert process.returncode == 5
    assert "goes on: whisperfleet result normal-" in said
    assert "does not answer" in said
    assert "Traceback" not in said


def test_redis_goes_away_while_one_sends(invoke, clips, monkeypatch):
    sent = []
    whole = Client.submit

    def submit_one(client, job, priority):
        if sent:
            raise redis.ConnectionError("gone")
        sent.append(whole(client, job, priority))
        return sent[0]

    monkeypatch.setattr(Client, "submit", submit_one)
    done = invoke("submit", *clips)
    assert done.exit_code == 5
    assert f"{clips[0]} goes on: whisperfleet result {sent[0]}" in done.stderr

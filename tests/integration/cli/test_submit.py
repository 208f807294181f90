"""`whisperfleet submit`: what a person types becomes the job that the contract describes."""

import json
from datetime import UTC, datetime

import pytest

from whisperfleet.client import Client
from whisperfleet.contract.job import Channel, Format, Job, Task
from whisperfleet.contract.sizes import MAX_INLINE_AUDIO_BYTES


@pytest.fixture
def sent(any_server, keys):
    """Return the jobs in a stream, as a worker would read them."""
    with any_server.settings.connect() as connection:
        yield lambda priority="normal": [
            Job.from_fields(fields) for _, fields in connection.xrange(keys.stream(priority))
        ]


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.ogg"
    path.write_bytes(b"\x00OggS\xff")
    return path


def test_a_file_travels_inside_the_job(invoke, sent, clip):
    done = invoke("submit", str(clip))
    assert done.exit_code == 0
    (job,) = sent()
    assert job == Job(audio=clip.read_bytes())
    assert done.stdout.count("\n") == 1
    assert done.stdout.startswith("normal-")


def test_an_address_travels_as_it_is(invoke, sent):
    assert invoke("submit", "https://example.org/talk.ogg?sig=a%2Fb").exit_code == 0
    assert invoke("submit", "file:///clips/talk.ogg").exit_code == 0
    assert [job.url for job in sent()] == [
        "https://example.org/talk.ogg?sig=a%2Fb",
        "file:///clips/talk.ogg",
    ]


def test_a_language_may_be_named_in_english(invoke, sent, clip):
    assert invoke("submit", str(clip), "--language", "German").exit_code == 0
    assert sent()[0].language == "de"


def test_standard_input(invoke, sent, clip):
    assert invoke("submit", "-", stdin=clip.read_bytes()).exit_code == 0
    assert sent()[0].audio == clip.read_bytes()


def test_every_option_reaches_the_job(invoke, sent, clip):
    deadline = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    done = invoke(
        *("submit", str(clip), "--language", "de", "--task", "translate", "--prompt", "Grüße"),
        *("--word-timestamps", "--format", "srt", "--format", "vtt", "--tenant", "team-a"),
        *("--deadline", deadline.isoformat(), "--metadata", '{"call": 7}', "--id", "my-own:1"),
        *("--priority", "high", "--channel", "split", "--track", "2"),
    )
    assert done.stdout == "my-own:1\n"
    assert sent("high") == [
        Job(
            audio=clip.read_bytes(),
            id="my-own:1",
            language="de",
            task=Task.TRANSLATE,
            prompt="Grüße",
            word_timestamps=True,
            channel=Channel.SPLIT,
            track=2,
            formats=(Format.SRT, Format.VTT),
            deadline=deadline,
            metadata={"call": 7},
            tenant="team-a",
        )
    ]


def test_several_with_json(invoke, sent, clip):
    done = invoke("submit", str(clip), "https://example.org/b.ogg", "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["source"] for line in lines] == [str(clip), "https://example.org/b.ogg"]
    assert len({line["id"] for line in lines}) == len(sent()) == 2


@pytest.mark.parametrize("size", [MAX_INLINE_AUDIO_BYTES, MAX_INLINE_AUDIO_BYTES + 1])
@pytest.mark.parametrize("way", ["file", "stdin"])
def test_the_largest_file(invoke, sent, tmp_path, size, way):
    audio = bytes(size)
    (tmp_path / "big.wav").write_bytes(audio)
    name = str(tmp_path / "big.wav") if way == "file" else "-"
    done = invoke("submit", name, stdin=audio)
    if size == MAX_INLINE_AUDIO_BYTES:
        assert done.exit_code == 0
        assert len(sent()[0].audio) == size
    else:
        assert done.exit_code == 2
        assert "more than the 1 MiB" in done.stderr
        assert "submit its https:// address" in done.stderr
        assert sent() == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["{tmp}/missing.ogg"], "cannot be read: No such file or directory"),
        (["{tmp}/empty.ogg"], "is empty; send a whole audio file"),
        (["{tmp}"], "is a folder"),
        (["{clip}", "{tmp}/missing.ogg"], "cannot be read"),
        (["{clip}", "{clip}", "--id", "one"], "--id names one job"),
        (["-", "-"], "standard input can be read once"),
        (["{clip}", "--language", "klingon"], "`language`: 'klingon' is no language that Whisper"),
        (["{clip}", "--metadata", "{{"], "`metadata`"),
        (["{clip}", "--deadline", "tomorrow"], "`deadline`"),
        (["{clip}", "--id", "-x"], "`id`"),
        (["{clip}", "--prompt", "x" * 2001], "`prompt`"),
        (["{clip}", "--priority", "urgent"], "choose one of high, normal, low"),
        (["{clip}", "--timeout", "3"], "add --wait"),
        (["{clip}", "--wait", "--timeout", "inf"], "--timeout is inf"),
        (["{clip}", "--wait", "--timeout", "nan"], "--timeout"),
        (["{clip}", "--format", "doc"], "--format"),
        (["{clip}", "--channel", "middle"], "--channel"),
        (["{clip}", "--track", "0"], "--track"),
        (["{clip}", "--prompt", "Z\udcf6e"], "the option prompt 'Z\\udcf6e' holds bytes that are"),
        (["https://a.example/\udcf6"], "holds bytes that are not UTF-8; type it anew"),
        ([], "FILE|URL"),
    ],
)
def test_what_cannot_be_submitted_is_a_usage_error(invoke, sent, clip, arguments, sentence):
    (clip.parent / "empty.ogg").touch()
    typed = [text.format(tmp=clip.parent, clip=clip) for text in arguments]
    done = invoke("submit", *typed, stdin=b"x")
    assert done.exit_code == 2
    assert sentence in " ".join(done.stderr.split())
    assert done.stdout == ""
    assert sent() == []


def test_a_full_server_is_no_traceback(invoke, own_server, clip):
    with own_server.settings.connect() as admin:
        admin.config_set("maxmemory", "1")
    done = invoke("submit", str(clip), "--redis", own_server.url)
    assert done.exit_code == 5
    assert "raise maxmemory" in done.stderr


def test_only_a_full_server_is_told_about_its_memory(invoke, clip, any_server, keys):
    with any_server.settings.connect() as connection:
        connection.set(keys.stream("normal"), "no stream")
    done = invoke("submit", str(clip))
    assert done.exit_code == 5
    assert "refuses the command (WRONGTYPE" in done.stderr
    assert "memory" not in done.stderr


def test_the_first_of_several_is_not_lost_when_the_server_gets_full(
    invoke, own_server, clip, monkeypatch
):
    whole = Client.submit

    def submit_and_fill(client, job, priority):
        job_id = whole(client, job, priority)
        client._redis.config_set("maxmemory", "1")
        return job_id

    monkeypatch.setattr(Client, "submit", submit_and_fill)
    done = invoke("submit", str(clip), str(clip), "--redis", own_server.url)
    assert done.exit_code == 5
    assert f"{clip} goes on: whisperfleet result normal-" in done.stderr
    assert "raise maxmemory" in done.stderr

"""What holds for every command."""

import json
import re
import socket
import subprocess
import sys

import pytest
import typer
from typer.main import get_command

from whisperfleet import __version__
from whisperfleet.cli.app import app

GROUP = get_command(app)
CONTEXT = typer.Context(GROUP)
COMMANDS = sorted(
    f"{name} {sub}".strip()
    for name in GROUP.list_commands(CONTEXT)
    for sub in getattr(GROUP.get_command(CONTEXT, name), "commands", [""])
)
HEAVY = ("faster_whisper", "ctranslate2", "numpy", "av", "onnxruntime", "prometheus_client")
UNREACHABLE = "redis://user:secret@127.0.0.1:{port}/0"


def without_style(text: str) -> str:
    return " ".join(re.sub(r"[│╭╮╰╯─]|\x1b\[[0-9;]*m", " ", text).split())


@pytest.mark.parametrize("command", COMMANDS)
def test_help_tells_the_exit_codes(invoke, command):
    shown = invoke(*command.split(), "--help")
    assert shown.exit_code == 0
    text = without_style(shown.stdout)
    for code, meaning in [(0, "all done"), (5, "Redis cannot be reached"), (6, "not finished yet")]:
        assert f"{code} {meaning}" in text


@pytest.mark.parametrize("arguments", [["submit", "--help"], ["result", "--help"], ["version"]])
def test_a_producers_command_imports_nothing_heavy(arguments):
    program = (
        "import sys\n"
        "from whisperfleet.cli import main\n"
        f"sys.argv[1:] = {arguments!r}\n"
        "try:\n"
        "    main()\n"
        "except SystemExit:\n"
        f"    print('heavy:', [name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_submitting_imports_nothing_heavy(environment, tmp_path):
    (tmp_path / "a.ogg").write_bytes(b"audio")
    program = (
        "import sys\n"
        "from whisperfleet.cli import main\n"
        f"sys.argv[1:] = ['submit', {str(tmp_path / 'a.ogg')!r}, '--wait', '--timeout', '0.01']\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        f"    print('heavy:', end.code, [name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "heavy: 6 []"


@pytest.mark.parametrize("command", ["worker", "demo"])
def test_an_installation_for_producers_says_what_is_missing(environment, command):
    program = (
        "import sys\n"
        "sys.modules.update(av=None, numpy=None)\n"
        "from whisperfleet.cli import main\n"
        f"sys.argv[1:] = [{command!r}] + (['--model', 'demo'] if {command!r} == 'worker' else [])\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "without av, numpy" in done.stderr
    assert f"pip install 'whisperfleet[{command}]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_version(invoke):
    assert f"whisperfleet {__version__}\n" in invoke("version").stdout
    assert json.loads(invoke("version", "--json").stdout)["whisperfleet"] == __version__


def test_the_module_is_the_command(start):
    process = start("version", "--json")
    assert json.loads(process.communicate(timeout=60)[0])["protocol"] == "1.1"
    assert process.returncode == 0


def test_an_unknown_command_is_a_usage_error(invoke):
    assert invoke("transcribe").exit_code == 2


@pytest.fixture
def closed_port():
    """A port that nobody listens on, and that nobody else can take meanwhile."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@pytest.mark.parametrize(
    "command", [["submit", "https://example.org/a.ogg"], ["result", "a"], ["status", "a"]]
)
def test_redis_out_of_reach(invoke, closed_port, command):
    ended = invoke(*command, "--redis", UNREACHABLE.format(port=closed_port))
    assert ended.exit_code == 5
    assert f"redis://127.0.0.1:{closed_port}/0 does not answer" in ended.stderr
    assert "--redis" in ended.stderr
    assert "WHISPERFLEET_REDIS" in ended.stderr
    assert "secret" not in ended.output
    assert ended.stdout == ""


def test_redis_refuses_the_account(invoke, any_server):
    url = any_server.url.replace("redis://", "redis://nobody:secret@")
    ended = invoke("status", "a", "--redis", url)
    assert ended.exit_code == 5
    assert "refuses this account" in ended.stderr
    assert "secret" not in ended.output


def test_the_account_comes_from_the_environment(invoke, any_server):
    with any_server.settings.connect() as admin:
        admin.acl_setuser("reader", enabled=True, passwords=["+pass"], keys="*", commands=["+@all"])
        try:
            variables = {
                "WHISPERFLEET_REDIS_USERNAME": "reader",
                "WHISPERFLEET_REDIS_PASSWORD": "pass",
            }
            assert invoke("status", "a", **variables).exit_code == 6
            variables["WHISPERFLEET_REDIS_PASSWORD"] = "wrong"
            assert invoke("status", "a", **variables).exit_code == 5
        finally:
            admin.acl_deluser("reader")


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--queue", "no spaces", "use 1 to 127 letters"),
        ("--redis", "http://127.0.0.1", "is no Redis address"),
        ("--redis", "redis://127.0.0.1:port", "cannot be parsed"),
    ],
)
def test_a_connection_that_cannot_be_is_a_usage_error(invoke, option, value, sentence):
    ended = invoke("status", "a", option, value)
    assert ended.exit_code == 2
    assert sentence in ended.stderr


def test_the_connection_may_be_named_before_the_command(invoke, any_server, closed_port):
    unreachable = UNREACHABLE.format(port=closed_port)
    before = invoke("--redis", any_server.url, "status", "a", WHISPERFLEET_REDIS=unreachable)
    assert before.exit_code == 6
    after = invoke("--redis", unreachable, "status", "a", "--redis", any_server.url)
    assert after.exit_code == 6
    neither = invoke("status", "a", WHISPERFLEET_REDIS=unreachable)
    assert neither.exit_code == 5


def test_a_command_loads_no_others():
    """A worker has no use for a console's tables, nor a version for a connection."""
    program = (
        "import sys\n"
        "from whisperfleet.cli import main\n"
        "sys.argv[1:] = ['version']\n"
        "try:\n"
        "    main()\n"
        "except SystemExit:\n"
        "    print('loaded:', [name for name in ('rich', 'redis',"
        " 'whisperfleet.cli.submit', 'whisperfleet.cli.worker') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "loaded: []"


def test_a_mistyped_command_is_told_what_comes_near(invoke):
    shown = invoke("subit")
    assert shown.exit_code == 2
    assert "Did you mean 'submit'?" in without_style(shown.stderr)

"""Standard streams that are full or closed, and Ctrl-C at any time: a sentence and an exit code."""

import os
import signal
import subprocess
import sys

import pytest

from support.servers import wait_for

URL = "https://example.org/a.ogg"
# Every interpreter imports this first: one import takes for ever.
ENDLESS_IMPORT = """
import sys, time

class Endless:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            open({begun!r}, "w").close()
            while True:
                time.sleep(0.01)

sys.meta_path.insert(0, Endless())
"""


@pytest.fixture
def shell(environment):
    """Run a command with the redirections of a shell; return its exit code and what it said."""

    def run(arguments, redirections=""):
        done = subprocess.run(
            ["sh", "-c", f'exec "$0" -m whisperfleet {arguments} {redirections}', sys.executable],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr
        return done.returncode, done.stderr

    return run


@pytest.mark.parametrize("arguments", ["queue stats", "version --json", "dlq list", "dlq --help"])
def test_a_full_standard_output(shell, arguments):
    code, said = shell(arguments, "> /dev/full")
    assert code == 8
    assert "error: standard output cannot be written (No space left on device)" in said
    assert said.count("\n") == 1


def test_the_id_of_what_was_sent_is_told_elsewhere_when_standard_output_is_full(shell):
    code, said = shell(f"submit {URL}", "> /dev/full")
    assert code == 8
    assert f"{URL} goes on: whisperfleet result normal-" in said


def test_nowhere_to_write_at_all(shell):
    assert shell("queue stats", "> /dev/full 2> /dev/full") == (8, "")
    assert shell("queue stats", ">&- 2>&-") == (8, "")


def test_a_closed_standard_output_is_nobody_elses(shell, any_server, keys):
    code, said = shell(f"submit {URL}", ">&-")
    assert code == 8
    assert "standard output is closed" in said
    assert "goes on: whisperfleet result normal-" in said
    # What was written was not sent to the server, whose connection would have had its number.
    with any_server.settings.connect() as connection:
        assert connection.xlen(keys.stream("normal")) == 1


@pytest.mark.parametrize("arguments", ["submit -", "queue purge", "queue drop"])
def test_a_closed_standard_input(shell, arguments):
    code, said = shell(arguments, "<&-")
    assert code == 2
    assert "standard input is closed" in said


def test_nobody_answers_the_question(shell):
    code, said = shell("queue purge", "< /dev/null")
    assert code == 1
    assert "[y/N]" in said


def test_who_has_read_enough_needs_no_explanation(start):
    process = start("queue", "stats")
    process.stdout.close()
    assert process.wait(60) == 8
    assert process.stderr.read() == ""


def test_a_name_that_is_not_utf8(start):
    for command in (["status"], ["result"], ["cancel"], ["dlq", "drop"], ["dlq", "show"]):
        process = start(*command, os.fsdecode(b"caf\xe9"))
        said = process.communicate(timeout=60)[1]
        if command == ["dlq", "show"]:
            assert process.returncode == 1
            continue
        assert process.returncode == 2
        assert "not UTF-8" in said


@pytest.mark.parametrize("module", ["whisperfleet.cli.app", "redis"], ids=["program", "command"])
def test_an_interrupt_while_something_is_imported(start, tmp_path, module):
    begun = tmp_path / "begun"
    (tmp_path / "sitecustomize.py").write_text(
        ENDLESS_IMPORT.format(module=module, begun=str(begun))
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    process = start("status", "a", PYTHONPATH=path)
    wait_for(begun.exists, "the import has begun", 60)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == ("", "interrupted\n")
    assert process.returncode == 130


def test_an_interrupt_that_is_ignored_stays_ignored(environment):
    program = (
        "import signal\n"
        "from whisperfleet.cli.interrupts import interrupted_at_once\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "with interrupted_at_once():\n"
        "    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN\n"
        "assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN\n"
    )
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)


def test_the_number_of_a_closed_stream_is_taken():
    program = (
        "import os, sys\n"
        "from whisperfleet.cli.streams import occupy_closed_streams\n"
        "occupy_closed_streams()\n"
        "print(os.open(os.devnull, os.O_RDONLY) > 2, file=sys.stderr)\n"
    )
    command = ["sh", "-c", 'exec "$0" -c "$1" <&- >&-', sys.executable, program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == "True\n"

"""Who of those that use a cluster takes it away again."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.cluster.sharing import Sharing

# Holds the cluster until its input ends, and then says whether it was the last.
_USER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from support.cluster.sharing import Sharing
with Sharing(Path(sys.argv[2])) as sharing:
    print("in", flush=True)
    sys.stdin.read()
    print(sharing.is_last(), flush=True)
"""


@contextmanager
def _user(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    tests = str(Path(__file__).parents[3])
    pipes = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
    with subprocess.Popen(
        [sys.executable, "-c", _USER, tests, str(folder)], text=True, **pipes
    ) as user:
        assert user.stdout
        assert user.stdout.readline() == "in\n"
        try:
            yield user
        finally:
            user.kill()


def _says(user: "subprocess.Popen[str]") -> str:
    assert user.stdin
    assert user.stdout
    user.stdin.close()
    return user.stdout.readline().strip()


def test_the_last_is_the_last(tmp_path: Path) -> None:
    with _user(tmp_path) as first, _user(tmp_path) as second, Sharing(tmp_path) as here:
        assert _says(first) == "False"
        assert not here.is_last()
        assert _says(second) == "True"


def test_of_two_fixtures_of_a_process_one_is_the_last(tmp_path: Path) -> None:
    with Sharing(tmp_path) as one:
        with Sharing(tmp_path) as other:
            assert not other.is_last()
        assert one.is_last()


def test_one_that_was_killed_uses_it_no_more(tmp_path: Path) -> None:
    with _user(tmp_path) as killed, Sharing(tmp_path) as here:
        killed.kill()
        killed.wait()
        assert here.is_last()


def test_of_many_who_leave_at_once_somebody_is_the_last(tmp_path: Path) -> None:
    with _user(tmp_path) as a, _user(tmp_path) as b, _user(tmp_path) as c:
        users = (a, b, c)
        for user in users:
            assert user.stdin
            user.stdin.close()
        said = []
        for user in users:
            assert user.stdout
            said.append(user.stdout.readline().strip())
        assert "True" in said

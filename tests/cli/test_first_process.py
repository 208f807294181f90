"""A container that is told to end while it starts."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from servers import wait_for

# Every interpreter imports this first: the import of the commands takes for ever.
ENDLESS_IMPORT = """
import sys, time

class Endless:
    def find_spec(self, name, path=None, target=None):
        if name == "whisperfleet.cli.app":
            open({begun!r}, "w").close()
            while True:
                time.sleep(0.01)

sys.meta_path.insert(0, Endless())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="a PID namespace of one's own needs root")
def test_process_1_ends_on_sigterm_while_it_starts(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    (tmp_path / "sitecustomize.py").write_text(ENDLESS_IMPORT.format(begun=str(begun)))
    unshare = subprocess.Popen(
        ["unshare", "--pid", "--fork", "--kill-child", sys.executable, "-m", "whisperfleet"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    try:
        wait_for(begun.exists, "the program imports its commands")
        (first,) = Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children").read_text().split()
        os.kill(int(first), signal.SIGTERM)
        assert unshare.wait(30) == 128 + signal.SIGTERM
    finally:
        unshare.kill()
        unshare.wait()

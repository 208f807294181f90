"""Prometheus's own judge of rules."""

import os
import shutil
import subprocess
from collections.abc import Callable

import pytest

Promtool = Callable[..., str]


@pytest.fixture(scope="session")
def promtool() -> Promtool:
    """Call it with arguments; it returns what promtool says, which has to be content."""
    program = shutil.which("promtool")
    if program is None:
        if os.environ.get("REQUIRE_PROMTOOL") == "1":
            pytest.fail("REQUIRE_PROMTOOL=1, but promtool is not on the PATH")
        pytest.skip("promtool is not on the PATH: install Debian's package prometheus")

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [program, *arguments], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run

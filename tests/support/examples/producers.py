"""The producers of examples/produce, each ready to run."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

import pytest

from hack.testbed.errors import TestbedError
from hack.testbed.prerequisites import find_go
from support.examples.files import EXAMPLES

PRODUCE: Final = EXAMPLES / "produce"
_FETCH_SECONDS: Final = 100


@dataclass(frozen=True)
class Producer:
    """A program that sends one piece of audio and prints its words."""

    command: list[str]

    def start(self, source: str, server: str, queue_id: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*self.command, source],
            env={**os.environ, "REDIS_URL": server, "QUEUE": queue_id},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(
        self, source: str, server: str, queue_id: str, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*self.command, source],
            env={**os.environ, "REDIS_URL": server, "QUEUE": queue_id, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


def make_producer(language: str, folder: Path) -> Producer:
    """Return the producer in a language; the test is skipped where its client cannot be had.

    `folder` is for what is built of it.
    """
    make = {"python": _python, "go": _go, "node": _node, "redis-cli": _shell}
    return Producer(make[language](folder))


def _python(_: Path) -> list[str]:
    return [sys.executable, str(PRODUCE / "python/produce.py")]


def _go(folder: Path) -> list[str]:
    module, program = PRODUCE / "go", str(folder / "produce")
    try:
        go = str(find_go([module / "go.mod"]))
    except TestbedError as error:
        _do_without(str(error))
    _fetch([go, "mod", "download"], module)
    subprocess.run([go, "build", "-mod=readonly", "-o", program, "."], cwd=module, check=True)
    return [program]


def _node(folder: Path) -> list[str]:
    node = _found("node")
    shutil.copytree(PRODUCE / "node", folder, dirs_exist_ok=True)
    _fetch([_found("npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder)
    return [node, str(folder / "produce.mjs")]


def _shell(_: Path) -> list[str]:
    for program in ("redis-cli", "jq"):
        _found(program)
    return [str(PRODUCE / "redis-cli/produce.sh")]


def _found(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        _do_without(f"{program} is not on the PATH")
    return path


def _fetch(command: list[str], folder: Path) -> None:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=_FETCH_SECONDS
    )
    if done.returncode != 0:
        _do_without(f"{' '.join(command[1:3])} failed: {done.stderr[-500:]}")


def _do_without(reason: str) -> NoReturn:
    if os.environ.get("REQUIRE_CLIENTS") == "1":
        pytest.fail(f"REQUIRE_CLIENTS=1, but {reason}")
    pytest.skip(reason)

"""What CI is told must be what the testbed needs; `.ci/run` says where the time went."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.testbed.binaries import ADDONS, KEDA, KUBERNETES
from hack.testbed.layout import Layout

ROOT = Path(__file__).parents[4]


def step_of(action: str) -> dict[str, Any]:
    """Return what the job with the cluster tells an action."""
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    (step,) = (s for s in workflow["jobs"]["e2e"]["steps"] if s.get("uses", "").startswith(action))
    return step["with"]


def go_of(go_mod: Path) -> tuple[int, ...]:
    (version,) = re.findall(r"^go ([\d.]+)$", go_mod.read_text(), re.MULTILINE)
    return tuple(map(int, version.split(".")))


def test_its_go_is_new_enough_for_every_module_that_is_built() -> None:
    given = go_of(ROOT / step_of("actions/setup-go")["go-version-file"])

    assert given == max(go_of(tools.folder / "go.mod") for tools in (KUBERNETES, KEDA, ADDONS))


def test_it_keeps_what_was_built_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images in the folder beside it take gigabytes, and other files than these change them."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    kept = Path(step_of("actions/cache")["path"]).expanduser()

    assert kept == Layout(state=ROOT).cache


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree whose targets do next to nothing, on a machine without a package manager."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for command in ("bash", "sh", "make", "dirname", "id"):
        (commands / command).symlink_to(shutil.which(command) or "/nowhere")
    monkeypatch.setenv("PATH", str(commands))
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", tmp_path / ".ci/run")
    return tmp_path


def ci_run(checkout: Path, makefile: str) -> "subprocess.CompletedProcess[str]":
    (checkout / "Makefile").write_text(makefile)
    return subprocess.run([checkout / ".ci/run"], capture_output=True, text=True, check=False)


def test_a_run_tells_what_each_step_took_and_skips_nothing(checkout: Path) -> None:
    told = "\t@echo required: $$REQUIRE_REDIS $$REQUIRE_CLUSTER\n"
    done = ci_run(checkout, f"setup check test demo real:\n\t@:\ne2e:\n{told}")

    assert done.returncode == 0, done.stderr
    assert "required: 1 1" in done.stdout
    steps = [line.partition(" s  ")[2] for line in done.stdout.splitlines()[-6:]]
    targets = ("setup", "check", "test", "demo", "real REAL=--quick", "e2e")
    assert steps == [f"make {target}" for target in targets]


def test_a_run_that_fails_tells_it_too(checkout: Path) -> None:
    done = ci_run(checkout, "setup check:\n\t@:\ntest:\n\t@exit 3\n")

    assert done.returncode == 2
    steps = [line.partition(" s  ")[2] for line in done.stdout.splitlines()[-3:]]
    assert steps == ["make setup", "make check", "make test: FAILED"]
    assert "failed (exit code 2)" in done.stdout

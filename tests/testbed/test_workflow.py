"""What the CI service is told must be what the testbed needs."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from hack.testbed.binaries import ADDONS, KEDA, KUBERNETES
from hack.testbed.layout import Layout

ROOT = Path(__file__).parents[2]


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

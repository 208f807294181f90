import re
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hack.testbed import binaries
from hack.testbed.binaries import ADDONS, KEDA, KUBERNETES, Binaries, Toolset, build
from hack.testbed.errors import TestbedError
from hack.testbed.layout import Layout
from hack.testbed.prerequisites import find_go

_LINE_OF_REQUIRED = re.compile(r"^\t(\S+) (v\S+)(?: // indirect)?$", re.MULTILINE)
_LINE_OF_REPLACED = re.compile(r"^\t(\S+) => (\S+) (v\S+)$", re.MULTILINE)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the modules that may be changed."""
    copy = tmp_path / "tools"
    shutil.copytree(KUBERNETES.folder.parent, copy)
    monkeypatch.setattr(binaries, "_TOOLS", copy)
    return copy


def test_versions_are_those_that_go_mod_requires() -> None:
    assert KUBERNETES.version == "1.35.1"
    assert KEDA.version == "2.21.0"
    assert ADDONS.version == "1.15.0"


def test_programs_are_told_their_version() -> None:
    assert "-X k8s.io/component-base/version.gitVersion=v1.35.1" in KUBERNETES.linker_flags
    assert "-X k8s.io/component-base/version.gitMinor=35" in KUBERNETES.linker_flags
    assert "-X github.com/kedacore/keda/v2/version.Version=2.21.0" in KEDA.linker_flags


@pytest.mark.parametrize("changed", ["go.mod", "go.sum", "pause/main.go"])
def test_another_version_lock_or_source_is_built_anew(
    tools: Path, tmp_path: Path, changed: str
) -> None:
    before = Binaries(tmp_path).folder(KUBERNETES)
    with (tools / "kubernetes" / changed).open("a") as file:
        file.write("\n// changed\n")

    assert Binaries(tmp_path).folder(KUBERNETES) != before


def test_what_is_not_built_from_does_not_count(tools: Path, tmp_path: Path) -> None:
    before = Binaries(tmp_path).folder(KUBERNETES)
    (tools / "kubernetes" / "notes.txt").write_text("changed")

    assert Binaries(tmp_path).folder(KUBERNETES) == before


def test_a_module_that_is_not_required_is_named() -> None:
    with pytest.raises(TestbedError, match=r"keda/go\.mod does not require example\.org/nothing"):
        _ = Toolset("keda", "example.org/nothing").version


@pytest.mark.parametrize("tools", [KUBERNETES, KEDA, ADDONS], ids=lambda tools: tools.name)
def test_every_module_is_locked(tools: Toolset) -> None:
    """Without its line in go.sum a build would ask a checksum server, or fail."""
    go_mod = (tools.folder / "go.mod").read_text()
    required = _LINE_OF_REQUIRED.findall(go_mod)
    assert len(required) > 100
    replaced = {name: module for name, *module in _LINE_OF_REPLACED.findall(go_mod)}
    used = [" ".join(replaced.get(name, (name, version))) for name, version in required]

    locked = (tools.folder / "go.sum").read_text()

    missing = {module for module in used if f"{module}/go.mod h1:" not in locked}
    assert missing == set()


def test_a_go_that_is_too_old_is_named_with_what_is_needed(tmp_path: Path) -> None:
    go_mod = tmp_path / "go.mod"
    go_mod.write_text("module example\n\ngo 9.7\n")

    with pytest.raises(TestbedError, match=r"Go 9\.7 or later is needed .* Install it"):
        find_go([go_mod])


def test_two_who_want_the_programs_build_them_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []
    both_asked = threading.Barrier(2)

    def make(_go: Path, tools: Toolset, target: Path) -> None:
        built.append(tools.name)
        target.mkdir()

    def ask() -> Binaries:
        both_asked.wait(10)
        return build(Layout(state=tmp_path / "state", cache=tmp_path / "cache"))

    monkeypatch.setattr(binaries, "_build", make)
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(ask) for _ in range(2)]

    assert {future.result() for future in asked} == {Binaries(tmp_path / "cache")}
    assert sorted(built) == sorted(tools.name for tools in (KUBERNETES, KEDA, ADDONS))

"""What is not the testbed's is neither used nor taken away."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hack.testbed import Layout, Testbed, TestbedError, cluster, mounts, network
from hack.testbed.layout import STATE_VARIABLE
from hack.testbed.state import remove_state, require_own_state


class Untouchable:
    """Stands for what would change the machine."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"{name} was to be used on a machine that is not ours")

    def __call__(self, *_: object) -> None:
        raise AssertionError("it was called on a machine that is not ours")


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine on which nothing may be changed, for somebody who could."""
    changes = ("install_packages", "build", "unmount_below", "restore", "remove_state")
    for name in ("cgroups", "network", *changes):
        monkeypatch.setattr(cluster, name, Untouchable())
    monkeypatch.setattr(cluster, "LOCK", tmp_path / "lock")
    monkeypatch.setattr(cluster, "require_root", lambda: None)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(state=tmp_path / "state", cache=tmp_path / "cache")


@pytest.fixture(params=["absent", "empty"])
def without_testbed(request: pytest.FixtureRequest, layout: Layout) -> Layout:
    if request.param == "empty":
        layout.state.mkdir()
    return layout


@pytest.fixture
def foreign(layout: Layout) -> Iterator[Layout]:
    """A folder of somebody's; it must be as it was."""
    precious = layout.state / "site" / "index.html"
    precious.parent.mkdir(parents=True)
    precious.write_text("precious")
    yield layout
    assert [path for path in layout.state.rglob("*") if path.is_file()] == [precious]
    assert precious.read_text() == "precious"


def test_where_there_is_no_testbed_down_changes_nothing(
    without_testbed: Layout, caplog: pytest.LogCaptureFixture
) -> None:
    """Another's kube-proxy, control groups and mounts are not ours to take down."""
    with caplog.at_level("INFO"):
        Testbed(without_testbed).down()

    assert caplog.messages == [f"there is no testbed in {without_testbed.state} to take down"]


@pytest.mark.parametrize("action", [Testbed.up, Testbed.down])
def test_a_folder_of_others_is_neither_used_nor_removed(
    foreign: Layout, action: Callable[[Testbed], None]
) -> None:
    with pytest.raises(TestbedError, match=rf"{foreign.state} is there and holds no record .*"):
        action(Testbed(foreign))


def test_a_file_in_the_folders_place_is_refused(layout: Layout) -> None:
    layout.state.write_text("precious")

    with pytest.raises(TestbedError, match=f"folder of its own in {STATE_VARIABLE}"):
        require_own_state(layout)


def test_a_testbed_that_is_there_may_be_used_and_removed(layout: Layout) -> None:
    (layout.state / "logs").mkdir(parents=True)
    (layout.state / "bin").symlink_to(layout.state / "logs")
    layout.machine_before.write_text(json.dumps({}))

    require_own_state(layout)
    assert Testbed(layout).exists
    remove_state(layout)

    assert not layout.state.exists()
    assert not Testbed(layout).exists


def test_half_a_removal_can_be_continued(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    (layout.state / "logs").mkdir(parents=True)
    layout.machine_before.write_text(json.dumps({}))

    def busy(path: Path) -> None:
        raise OSError(16, "Device or resource busy", str(path))

    with monkeypatch.context() as held:
        held.setattr("shutil.rmtree", busy)
        with pytest.raises(TestbedError, match=r"logs cannot be removed: Device or resource busy"):
            remove_state(layout)

    assert Testbed(layout).exists
    remove_state(layout)
    assert not layout.state.exists()


@pytest.mark.parametrize("given", ["relative", "link"])
def test_the_folder_is_the_same_from_wherever_it_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    real = tmp_path / "relative"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(STATE_VARIABLE, given)

    assert Layout().state == real


def test_what_is_mounted_at_the_folder_itself_stays(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = [layout.state, layout.state / "kubelet", Path("/elsewhere")]
    monkeypatch.setattr(mounts, "mounts", lambda: [mounts.Mount(str(p), "tmpfs") for p in points])
    run: list[str] = []
    monkeypatch.setattr(mounts, "run_command", lambda command, _: run.append(command[-1]))

    mounts.unmount_below(layout.state)

    assert run == [str(layout.state / "kubelet")]


def test_a_command_that_fails_is_quoted_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TestbedError, match=r"`ip link delete wf-none` failed: .+; the testbed"):
        network._ip("link", "delete", "wf-none")

    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(TestbedError, match=r"there is no ip on the PATH"):
        network._ip("link")

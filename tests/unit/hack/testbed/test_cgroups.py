"""Control groups of version 2, whose controllers have to be passed on; in a folder like theirs."""

from pathlib import Path

import pytest

from hack.testbed import TestbedError, cgroups
from hack.testbed.layout import CGROUP
from hack.testbed.mounts import Mount


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The top of version 2 on a machine that has no other, with the group that is to be made."""
    for group in (tmp_path, tmp_path / CGROUP):
        group.mkdir(exist_ok=True)
        (group / "cgroup.controllers").write_text("cpuset cpu io memory pids rdma\n")
        (group / "cgroup.subtree_control").write_text("")
    (tmp_path / "cgroup.subtree_control").write_text("memory pids\n")
    monkeypatch.setattr(cgroups, "mounts", lambda: [Mount(str(tmp_path), "cgroup2")])
    return tmp_path


def test_the_kubelet_gets_the_controllers_that_there_are(root: Path) -> None:
    cgroups.make()

    assert (root / "cgroup.subtree_control").read_text() == "+cpu +cpuset"
    assert (root / CGROUP / "cgroup.subtree_control").read_text() == "+cpu +cpuset +memory +pids"
    assert cgroups.system_procs() == root / CGROUP / "system" / "cgroup.procs"
    assert cgroups.system_procs().parent.is_dir()


def test_where_controllers_are_in_hierarchies_of_their_own_none_is_passed_on(root: Path) -> None:
    for group in (root, root / CGROUP):
        (group / "cgroup.controllers").write_text("\n")
        (group / "cgroup.subtree_control").write_text("")

    cgroups.make()

    assert (root / "cgroup.subtree_control").read_text() == ""


def test_a_group_that_gives_none_is_named(root: Path) -> None:
    (root / "cgroup.subtree_control").unlink()
    (root / "cgroup.subtree_control").mkdir()

    with pytest.raises(TestbedError, match=r"controllers cpu, cpuset, memory, pids below .* in it"):
        cgroups.make()


def test_what_was_passed_on_before_stays_so(root: Path) -> None:
    before = cgroups.delegated_controllers()
    assert before == ["memory", "pids"]
    (root / "cgroup.subtree_control").write_text("cpu memory pids\n")

    cgroups.take_back_controllers(before)

    assert (root / "cgroup.subtree_control").read_text() == "-cpu"

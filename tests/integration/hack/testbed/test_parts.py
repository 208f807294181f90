import hashlib
import io
import json
import os
import socket
import sys
import tarfile
from dataclasses import fields, replace
from pathlib import Path

import pytest

from hack.testbed import Layout, Testbed, TestbedError, footprint, mounts, network
from hack.testbed.configuration import write_configuration
from hack.testbed.footprint import Footprint
from hack.testbed.images import single_program_archive
from hack.testbed.kind import main as kind
from hack.testbed.layout import NODE_RANGE
from hack.testbed.network import check_ports, check_ranges
from hack.testbed.node import read_gpus, write_gpus


def _contents(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return {entry.name: opened.extractfile(entry).read() for entry in opened}


_EMPTY = Footprint(**{field.name: frozenset() for field in fields(Footprint)})


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    (tmp_path / "state").mkdir()
    return Layout(state=tmp_path / "state", cache=tmp_path / "cache")


def test_a_footprint_says_what_is_new_and_what_is_gone() -> None:
    before = replace(_EMPTY, mounts=frozenset({"/", "/proc"}))
    after = replace(_EMPTY, mounts=frozenset({"/"}), links=frozenset({"cni0"}))

    assert before.changes(after) == ["mounts: gone: /proc", "links: new: cni0"]
    assert before.changes(before) == []


def test_a_lifetime_that_runs_down_is_no_change(monkeypatch: pytest.MonkeyPatch) -> None:
    address = "2: eth0 inet 192.0.2.2/24 scope global dynamic eth0 valid_lft {}sec preferred_lft {}"
    shown = iter((address.format("3599", "1799sec"), address.format("3598", "1798sec")))
    monkeypatch.setattr(footprint, "run_command", lambda *_: next(shown))

    assert footprint._lines("ip", "address") == footprint._lines("ip", "address")


def test_blanks_in_mount_points_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = tmp_path / "mountinfo"
    listing.write_text(
        "20 1 0:19 / /proc rw,relatime shared:7 - proc proc rw\n"
        "21 1 0:20 / /mnt/a\\040b rw - tmpfs tmpfs rw\n"
    )
    monkeypatch.setattr(mounts, "_MOUNTINFO", listing)

    assert mounts.mounts() == [mounts.Mount("/proc", "proc"), mounts.Mount("/mnt/a b", "tmpfs")]


def test_a_taken_port_is_named_with_how_to_find_its_owner() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(TestbedError, match=f"etcd needs 127.0.0.1:{port}, which is taken"):
            check_ports("etcd", [("127.0.0.1", port)])


def test_a_port_of_an_address_that_is_free_will_do() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    check_ports("etcd", [("127.0.0.1", port)])


def test_an_overlapping_route_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    routes = [
        {"dst": "default", "dev": "eth0"},
        {"dst": "10.97.0.128/25", "dev": "vpn0"},
    ]
    monkeypatch.setattr(network, "_ip_json", lambda *_: routes)

    with pytest.raises(TestbedError, match=f"{NODE_RANGE} overlap .* 10.97.0.128/25 over vpn0"):
        check_ranges()


def test_the_rules_of_another_kube_proxy_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_ip_json", lambda *_: [{"dst": "default"}])
    monkeypatch.setattr(network, "_present_tables", lambda: [("ip", "kube-proxy")])

    with pytest.raises(TestbedError, match="'ip kube-proxy' is there already"):
        check_ranges()


def test_an_image_of_one_program_carries_it_under_its_digest() -> None:
    archive = _contents(single_program_archive("example/pause:1", b"\x7fELF"))

    [listing] = json.loads(archive["manifest.json"])
    layer = archive[listing["Layers"][0]]
    config = json.loads(archive[listing["Config"]])
    assert listing["RepoTags"] == ["example/pause:1"]
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    assert _contents(layer) == {"pause": b"\x7fELF"}


def test_gpus_are_counted_with_their_health(layout: Layout) -> None:
    write_gpus(layout, 4, {2, 0})

    assert read_gpus(layout) == (4, 2)
    assert json.loads(layout.gpus.read_text()) == {"count": 4, "unhealthy": [0, 2]}


@pytest.mark.parametrize(("count", "unhealthy"), [(2, [2]), (2, [-1]), (-1, [])])
def test_gpus_that_cannot_be_are_refused(layout: Layout, count: int, unhealthy: list[int]) -> None:
    with pytest.raises(TestbedError, match=r"cannot be"):
        write_gpus(layout, count, unhealthy)
    assert not layout.gpus.exists()


def test_the_configuration_names_the_folders_of_the_state(layout: Layout) -> None:
    write_configuration(layout)

    assert json.loads(layout.config("cni/net.d/10-testbed.conflist").read_text())["plugins"]
    assert f"{layout.state}/containerd.sock" in layout.config("kubelet.yaml").read_text()
    for path in layout.state.rglob("*"):
        assert path.is_dir() or "$" not in path.read_text(), path


def test_an_unknown_component_is_answered_with_those_that_there_are(layout: Layout) -> None:
    with pytest.raises(TestbedError, match=r"no component kublet: there are etcd, .*kubelet"):
        Testbed(layout).kill("kublet")


def test_what_does_not_run_cannot_be_killed(layout: Layout) -> None:
    with pytest.raises(TestbedError, match="kubelet does not run"):
        Testbed(layout).kill("kubelet")


def test_nothing_is_up_in_an_empty_folder(layout: Layout) -> None:
    statuses = Testbed(layout).status()

    assert {"etcd", "kubelet", "keda-operator", "keda-metrics"} <= {each.name for each in statuses}
    assert not any(status.ready or status.pid for status in statuses)


@pytest.mark.parametrize("action", [Testbed.up, Testbed.down])
def test_whoever_is_not_root_is_told(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, action: object
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(TestbedError, match=r"needs root: run it as root"):
        action(Testbed(layout))


def test_another_system_is_told(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")

    with pytest.raises(TestbedError, match="needs Linux, this is darwin"):
        Testbed(layout).up()


def test_kind_has_no_cluster_until_it_is_asked_for_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert kind(["get", "clusters"]) == 0
    assert capsys.readouterr().out == ""


def test_kind_says_what_the_testbed_cannot_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert kind(["export", "logs"]) == 2
    assert "no `export logs`" in capsys.readouterr().err


def test_kind_creates_by_attaching(
    tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHISPERFLEET_TESTBED_STATE", str(layout.state))
    monkeypatch.setattr(Testbed, "up", lambda self: self.kubeconfig.write_text("here"))

    wanted = tmp_path / "kubeconfig"
    assert kind(["create", "cluster", "--name=pytest-kind", f"--kubeconfig={wanted}"]) == 0

    assert wanted.read_text() == "here"

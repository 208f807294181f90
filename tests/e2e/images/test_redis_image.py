"""The image of Redis that the cluster's tests use."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hack.images.build import ImageName
from hack.images.layers import read_config
from support.images.archives import unpack

# It may have to be built.
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]


def test_it_is_redis_7_0_for_anyone_but_root(
    build_image: Callable[[ImageName], Path], tmp_path: Path
) -> None:
    archive = build_image("redis")
    config = read_config(archive)["config"]
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["redis-server"]

    tmp_path.chmod(0o755)
    unpack(archive, tmp_path)
    done = subprocess.run(
        ["chroot", f"--userspec={config['User']}", tmp_path, "redis-server", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert " v=7.0." in done.stdout
    assert (tmp_path / "data").stat().st_uid == 65532


def test_nothing_is_built_twice(build_image: Callable[[ImageName], Path]) -> None:
    archive = build_image("redis")
    written = archive.stat().st_mtime_ns
    assert build_image("redis") == archive
    assert archive.stat().st_mtime_ns == written

"""Where images are kept."""

import os
from pathlib import Path

from hack.images import Store


def test_all_but_the_newest_archives_go(tmp_path: Path) -> None:
    store = Store(tmp_path)
    ages = {"old": 2, "older": 1, "new": 3, "newest": 4}
    archives = {key: store.archive("worker", key) for key in ages}
    other = store.archive("worker-cuda", "old")
    for archive in (*archives.values(), other):
        archive.parent.mkdir(parents=True, exist_ok=True)
        archive.touch()
    for key, archive in archives.items():
        os.utime(archive, (ages[key], ages[key]))

    store.drop_old_archives("worker")
    assert set(other.parent.iterdir()) == {other}
    assert set(archives["new"].parent.iterdir()) == {archives["new"], archives["newest"]}


def test_buildah_works_on_this_folder_alone(tmp_path: Path) -> None:
    command = Store(tmp_path).buildah("images")
    assert command == [
        *("env", f"TMPDIR={tmp_path}/tmp", "buildah"),
        *("--root", f"{tmp_path}/storage", "--runroot", f"{tmp_path}/run", "images"),
    ]


def test_the_folder_follows_the_environment(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert Store().folder == tmp_path / "whisperfleet" / "images"

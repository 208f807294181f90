"""Packages come once, by hash, whole or not at all."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hack.cache import make_once
from hack.real.errors import GroundError
from hack.real.packages import DebianPackage, NpmPackage, Wheel, unpacked

NEEDS_NPM = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
NEEDS_APT = pytest.mark.skipif(
    shutil.which("apt-get") is None or os.geteuid() != 0,
    reason="apt-get is not installed, or may not fetch its lists",
)


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A wheel in a folder that is all pip knows of."""
    index = tmp_path / "index"
    index.mkdir()
    path = index / "spoken_words-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("spoken/voice.bin", "aah")
        folder = "spoken_words-1.0.dist-info"
        archive.writestr(
            f"{folder}/METADATA", "Metadata-Version: 2.1\nName: spoken-words\nVersion: 1.0\n"
        )
        archive.writestr(f"{folder}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{folder}/RECORD", "")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    return path


def pinned(folder, digest):
    requirements = folder / "requirements.txt"
    requirements.write_text(
        "other==2.0 \\\n    --hash=sha256:00\n"
        f"spoken-words==1.0 \\\n    --hash=sha256:{'0' * 64} \\\n    --hash=sha256:{digest}\n"
    )
    return Wheel("spoken-words", requirements)


def test_a_wheel_is_fetched_once_and_not_installed(wheel, tmp_path):
    package = pinned(tmp_path, sha256(wheel))
    folder = unpacked(package, tmp_path / "cache")
    assert (folder / "spoken/voice.bin").read_text() == "aah"
    wheel.unlink()
    assert unpacked(package, tmp_path / "cache") == folder
    assert package.key.startswith("spoken-words-1.0-")


@pytest.mark.usefixtures("wheel")
def test_a_wheel_with_another_hash_is_refused_and_nothing_is_kept(tmp_path):
    package = pinned(tmp_path, "f" * 64)
    with pytest.raises(GroundError, match=r"spoken-words-1.0-\w+ cannot be fetched; check that"):
        unpacked(package, tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache/packages").iterdir() if path.is_dir()]


@pytest.mark.usefixtures("wheel")
def test_a_wheel_without_a_hash_is_refused(tmp_path):
    (tmp_path / "requirements.txt").write_text("spoken-words==1.0\n")
    with pytest.raises(GroundError, match="Hashes are required"):
        unpacked(Wheel("spoken-words", tmp_path / "requirements.txt"), tmp_path / "cache")


def test_a_changed_pin_is_another_folder(wheel, tmp_path):
    first = pinned(tmp_path, sha256(wheel)).key
    assert pinned(tmp_path, "e" * 64).key != first


def test_a_package_that_is_not_pinned_is_named(tmp_path):
    (tmp_path / "requirements.txt").write_text("other==2.0\n")
    with pytest.raises(GroundError, match="does not pin spoken-words: add it with its hash"):
        unpacked(Wheel("spoken-words", tmp_path / "requirements.txt"), tmp_path)


@pytest.fixture
def deb(tmp_path, monkeypatch):
    """A Debian package in a repository that is all apt knows of, and whose lists it lacks."""
    source, repository, state = (tmp_path / name for name in ("source", "repository", "state"))
    (source / "DEBIAN").mkdir(parents=True)
    (source / "DEBIAN/control").write_text(
        "Package: spoken-readers\nVersion: 1.0\nArchitecture: all\nMaintainer: me <me@localhost>\n"
        "Description: readers\n"
    )
    (source / "usr/share/readers").mkdir(parents=True)
    (source / "usr/share/readers/one.raw").write_text("aah")
    repository.mkdir()
    (state / "lists/partial").mkdir(parents=True)
    path = repository / "spoken-readers_1.0_all.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "--build", source, path], check=True, capture_output=True
    )
    (repository / "Packages").write_text(
        "Package: spoken-readers\nVersion: 1.0\nArchitecture: all\n"
        f"Filename: ./{path.name}\nSize: {path.stat().st_size}\nSHA256: {sha256(path)}\n\n"
    )
    (tmp_path / "sources.list").write_text(f"deb [trusted=yes] file:{repository} ./\n")
    (tmp_path / "apt.conf").write_text(
        f'Dir::Etc::sourcelist "{tmp_path}/sources.list";\nDir::Etc::sourceparts "-";\n'
        f'Dir::State "{state}";\nDir::State::status "/dev/null";\nDir::Cache "{state}";\n'
        'APT::Sandbox::User "root";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    return path


@NEEDS_APT
def test_a_debian_package_is_unpacked_beside_the_system(deb, tmp_path):
    package = DebianPackage("spoken-readers", "1.0", sha256(deb))
    folder = unpacked(package, tmp_path / "cache")
    assert (folder / "usr/share/readers/one.raw").read_text() == "aah"
    assert not Path("/usr/share/readers").exists()


@NEEDS_APT
@pytest.mark.usefixtures("deb")
def test_a_debian_package_with_another_hash_is_refused(tmp_path):
    with pytest.raises(GroundError, match=r"spoken-readers-1.0-\w+ was fetched with the sha256"):
        unpacked(DebianPackage("spoken-readers", "1.0", "0" * 64), tmp_path / "cache")


@NEEDS_APT
@pytest.mark.usefixtures("deb")
def test_a_debian_package_that_is_not_there_says_what_to_do(tmp_path):
    with pytest.raises(GroundError, match=r"nobody-1.0-.* cannot be fetched; .*Debian 12.* said"):
        unpacked(DebianPackage("nobody", "1.0", "0" * 64), tmp_path / "cache")


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A registry of npm on this machine with one package, whose sha512 it is."""
    root = tmp_path / "registry"
    content = tmp_path / "content/package"
    content.mkdir(parents=True)
    root.mkdir()
    (content / "package.json").write_text('{"name": "spoken-address", "version": "1.0.0"}')
    (content / "jfk.wav").write_text("ask not")
    (content / "large.bin").write_text("never looked at")
    archive = root / "spoken-address-1.0.0.tgz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(content, "package")
    handler = partial(_Quiet, directory=str(root))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        dist = {"tarball": f"{address}/{archive.name}", "integrity": f"sha512-{digest}"}
        version = {"name": "spoken-address", "version": "1.0.0", "dist": dist}
        (root / "spoken-address").write_text(
            json.dumps(
                {
                    "name": "spoken-address",
                    "dist-tags": {"latest": "1.0.0"},
                    "versions": {"1.0.0": version},
                }
            )
        )
        monkeypatch.setenv("npm_config_registry", address)
        monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
        yield digest
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@NEEDS_NPM
def test_of_an_npm_package_only_the_members_are_kept(registry, tmp_path):
    package = NpmPackage("spoken-address", "1.0.0", registry, ("package/jfk.wav",))
    folder = unpacked(package, tmp_path / "cache")
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["jfk.wav"]


@NEEDS_NPM
@pytest.mark.usefixtures("registry")
def test_an_npm_package_with_another_hash_is_refused(tmp_path):
    package = NpmPackage("spoken-address", "1.0.0", "AAAA", ("package/jfk.wav",))
    with pytest.raises(GroundError, match="with the sha512"):
        unpacked(package, tmp_path / "cache")


def test_a_program_that_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GroundError, match="cannot be fetched: npm is missing; install npm"):
        unpacked(NpmPackage("x", "1.0.0", "", ()), tmp_path / "cache")


def test_a_folder_is_made_once_whoever_wants_it(tmp_path):
    made = []
    together = threading.Barrier(4)

    def want():
        together.wait(10)
        make_once(tmp_path / "folder", made.append)

    threads = [threading.Thread(target=want) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(made) == 1
    assert (tmp_path / "folder").is_dir()


def test_a_folder_that_fails_half_way_is_not_there_and_is_made_the_next_time(tmp_path):
    def fail(folder):
        (folder / "half").touch()
        raise GroundError("no")

    with pytest.raises(GroundError):
        make_once(tmp_path / "folder", fail)
    assert not (tmp_path / "folder").exists()
    make_once(tmp_path / "folder", lambda folder: (folder / "whole").touch())
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["whole"]

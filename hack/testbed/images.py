"""Images without a registry: archives into containerd."""

import fcntl
import hashlib
import io
import json
import platform
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from hack.testbed.binaries import Binaries
from hack.testbed.errors import TestbedError
from hack.testbed.layout import PAUSE_IMAGE, Layout

__all__ = ["full_name", "load_archive", "load_pause_image", "name_image", "single_program_archive"]

_MANIFEST: Final = "manifest.json"
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


def load_archive(layout: Layout, archive: Path) -> None:
    """Load a docker or OCI archive, so that pods may name its images with pull policy Never.

    What is there already is not read again, which for a worker's image takes many seconds. Raises
    TestbedError where containerd does not take it.
    """
    if not archive.is_file():
        raise TestbedError(f"there is no image archive {archive}: build it first, or mend the path")
    # Of several who load the same archive, one does; the others find it.
    with archive.open("rb") as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        if _name_what_is_there(layout, _names_by_config(archive)):
            return
        done = _ctr(layout, "images", "import", str(archive))
    if done.returncode != 0:
        raise TestbedError(
            f"containerd did not take {archive}: {done.stderr.strip()}; is it a docker or an OCI "
            "archive, and is the testbed up (`make cluster-status`)?"
        )


def _names_by_config(archive: Path) -> dict[str, list[str]]:
    """Return the names of a docker archive's images, by the digest of each one's configuration.

    Nothing of another archive.
    """
    try:
        with tarfile.open(archive) as files:
            manifest = files.extractfile(_MANIFEST)
            assert manifest is not None, "it is a plain file"
            images = json.load(manifest)
    except (KeyError, tarfile.TarError):
        return {}
    return {Path(each["Config"]).stem: each["RepoTags"] or [] for each in images}


def _name_what_is_there(layout: Layout, names: Mapping[str, Sequence[str]]) -> bool:
    """Give images the names of an archive where containerd has all of them whole, or do nothing.

    Returns whether it has.
    """
    # REF TYPE DIGEST STATUS SIZE UNPACKED, where STATUS is "complete (2/2)".
    rows = [line.split() for line in _ctr(layout, "images", "check").stdout.splitlines()]
    whole = {row[0]: row[2] for row in rows if row[3:4] == ["complete"] and row[-1] == "true"}
    # What serves the kubelet names each image by its configuration too.
    images = {f"sha256:{config}": wanted for config, wanted in names.items()}
    if not images or not images.keys() <= whole.keys():
        return False
    for image, wanted in images.items():
        for name in map(full_name, wanted):
            if whole.get(name) != whole[image]:
                name_image(layout, image, name)
    return True


def full_name(name: str) -> str:
    """Return an image's name with its registry, as containerd's import and the kubelet have it.

    What Docker calls ``redis:7.2`` is ``docker.io/library/redis:7.2`` for everybody else
    (github.com/distribution/reference, normalize.go).
    """
    first, slash, _ = name.partition("/")
    if slash and (first == "localhost" or "." in first or ":" in first):
        return name
    return f"docker.io/{name}" if slash else f"docker.io/library/{name}"


def name_image(layout: Layout, image: str, name: str) -> None:
    """Give an image that containerd has a second name. Raises TestbedError where it has not."""
    done = _ctr(layout, "images", "tag", "--force", image, name)
    if done.returncode != 0:
        raise TestbedError(
            f"{image} cannot be named {name}: {done.stderr.strip()}; load the image first"
        )


def load_pause_image(layout: Layout, binaries: Binaries) -> None:
    """Load the image that holds each pod's namespaces, unless containerd has it."""
    if PAUSE_IMAGE in _ctr(layout, "images", "list", "--quiet").stdout.split():
        return
    archive = layout.state / "pause.tar"
    archive.write_bytes(
        single_program_archive(PAUSE_IMAGE, Path(binaries.kubernetes("pause")).read_bytes())
    )
    load_archive(layout, archive)


def single_program_archive(image: str, program: bytes) -> bytes:
    """Return a docker archive of an image that holds one statically linked program."""
    layer = _tar({"pause": program}, mode=0o755)
    config = json.dumps(
        {
            "architecture": _ARCHITECTURES[platform.machine()],
            "os": "linux",
            "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_digest(layer)}"]},
        }
    ).encode()
    names = {"config": f"{_digest(config)}.json", "layer": f"{_digest(layer)}.tar"}
    listing = [{"Config": names["config"], "RepoTags": [image], "Layers": [names["layer"]]}]
    return _tar(
        {
            names["config"]: config,
            names["layer"]: layer,
            _MANIFEST: json.dumps(listing).encode(),
        },
        mode=0o644,
    )


def _ctr(layout: Layout, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["ctr", "--address", str(layout.containerd_socket), "--namespace", "k8s.io", *arguments],
        check=False,
        capture_output=True,
        text=True,
    )


def _tar(files: dict[str, bytes], mode: int) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return written.getvalue()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

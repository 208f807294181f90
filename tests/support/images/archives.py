"""Archives of images for tests: small ones made by hand, and the files of real ones."""

import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path

from hack.images.layers import read_layers


def write_tar(path: Path, files: dict[str, bytes]) -> bytes:
    """Write files into a tar file; return its content."""
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path.read_bytes()


def write_archive(folder: Path, layers: list[tuple[str, dict[str, bytes]]]) -> Path:
    """Write a docker-archive of layers, each a step of the history and its files."""
    parts: dict[str, bytes] = {}
    for number, (_, files) in enumerate(layers):
        parts[f"{number}.tar"] = write_tar(folder / "layer", files)
    members = list(parts)
    history = [{"created_by": step} for step, _ in layers]
    config = {
        "config": {"User": "1"},
        "history": [*history, {"created_by": "/bin/sh -c #(nop) USER 1", "empty_layer": True}],
        "rootfs": {
            "diff_ids": [f"sha256:{hashlib.sha256(parts[name]).hexdigest()}" for name in members]
        },
    }
    parts["config.json"] = json.dumps(config).encode()
    parts["manifest.json"] = json.dumps([{"Config": "config.json", "Layers": members}]).encode()
    archive = folder / "archive.tar"
    write_tar(archive, parts)
    return archive


def unpack(archive: Path, root: Path) -> None:
    """Lay the layers of an archive over each other; root is needed for owners and devices."""
    for layer in read_layers(archive):
        read = subprocess.Popen(
            ["tar", "--extract", "--to-stdout", "--file", archive, layer.member],
            stdout=subprocess.PIPE,
        )
        with read:
            subprocess.run(["tar", "--extract", "--directory", root], stdin=read.stdout, check=True)
        assert read.returncode == 0

"""What is in an archive: its configuration, its layers, and what fills them."""

import csv
import json
import posixpath
import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

__all__ = [
    "Layer",
    "distribution_sizes",
    "file_sizes",
    "open_layer",
    "packed_bytes",
    "read_config",
    "read_layers",
]

_CHUNK_BYTES = 1024 * 1024
# What buildah records of a COPY instead of its source.
_CONTENT_DIGEST = re.compile(r"\b(?:file|dir|multi):[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer: the step that made it, its digest, where it is in the archive, its size."""

    step: str
    digest: str
    member: str
    unpacked_bytes: int


def read_config(archive: Path) -> dict[str, Any]:
    """Return the configuration of the one image in a docker-archive."""
    with tarfile.open(archive) as tar:
        config: dict[str, Any] = json.load(_member(tar, _manifest(tar)["Config"]))
        return config


def read_layers(archive: Path) -> list[Layer]:
    """Return the layers of the one image in a docker-archive, the lowest first."""
    config = read_config(archive)
    steps = [row["created_by"] for row in config["history"] if not row.get("empty_layer")]
    with tarfile.open(archive) as tar:
        members = _manifest(tar)["Layers"]
        rows = zip(steps, config["rootfs"]["diff_ids"], members, strict=True)
        return [
            Layer(_readable(step), digest, member, tar.getmember(member).size)
            for step, digest, member in rows
        ]


@contextmanager
def open_layer(archive: Path, layer: Layer) -> Iterator[IO[bytes]]:
    """Open a layer of an archive, itself a tar file."""
    with tarfile.open(archive) as tar:
        yield _member(tar, layer.member)


def packed_bytes(stream: IO[bytes]) -> int:
    """Return how many bytes of a stream's content a registry would send: gzip's default level."""
    packer = zlib.compressobj()
    size = 0
    while chunk := stream.read(_CHUNK_BYTES):
        size += len(packer.compress(chunk))
    return size + len(packer.flush())


def file_sizes(layer: IO[bytes]) -> dict[str, int]:
    """Return the bytes of each regular file of a layer by its path, without a leading slash."""
    with tarfile.open(fileobj=layer) as tar:
        return {_path(member): member.size for member in tar if member.isfile()}


def distribution_sizes(layer: IO[bytes]) -> Counter[str]:
    """Return the bytes of each Python distribution in a layer, bytecode included, by its name.

    A file belongs to whoever's RECORD names it, or names the source that it was compiled from.
    """
    sizes: dict[str, int] = {}
    owners: dict[str, str] = {}
    with tarfile.open(fileobj=layer) as tar:
        for member in tar:
            if not member.isfile():
                continue
            path = _path(member)
            sizes[path] = member.size
            if path.endswith(".dist-info/RECORD") and (record := tar.extractfile(member)):
                owners |= _recorded(path, record.read().decode())
    totals: Counter[str] = Counter()
    for path, size in sizes.items():
        if owner := owners.get(_source_of(path)):
            totals[owner] += size
    return totals


def _recorded(path: str, record: str) -> dict[str, str]:
    """Return the name of a distribution by each path that its RECORD names."""
    information, _ = posixpath.split(path)
    packages, name = posixpath.split(information)
    distribution, _, _ = name.removesuffix(".dist-info").rpartition("-")
    return {
        posixpath.normpath(posixpath.join(packages, row[0])): distribution
        for row in csv.reader(record.splitlines())
        if row
    }


def _source_of(path: str) -> str:
    """Return what bytecode was compiled from, and of any other file the path itself."""
    folder, name = posixpath.split(path)
    parent, cache = posixpath.split(folder)
    if cache != "__pycache__":
        return path
    return posixpath.join(parent, f"{name.split('.', 1)[0]}.py")


def _path(member: tarfile.TarInfo) -> str:
    return member.name.removeprefix("./")


def _manifest(tar: tarfile.TarFile) -> dict[str, Any]:
    images: list[dict[str, Any]] = json.load(_member(tar, "manifest.json"))
    (image,) = images
    return image


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    file = tar.extractfile(name)
    if file is None:
        raise ValueError(f"{name} of {tar.name!r} is not a file; build the archive again")
    return file


def _readable(step: str) -> str:
    """Return a step of an image's history as its Dockerfile has it, as far as it is recorded."""
    if (noted := step.removeprefix("/bin/sh -c #(nop) ")) != step:
        return _CONTENT_DIGEST.sub("…", noted).strip()
    if (command := step.removeprefix("/bin/sh -c ")) != step:
        return f"RUN {command}"
    return step

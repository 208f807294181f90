"""What an archive says of its layers and of what fills them."""

import gzip
from pathlib import Path

from hack.images.layers import (
    distribution_sizes,
    file_sizes,
    open_layer,
    packed_bytes,
    read_config,
    read_layers,
)
from support.images.archives import write_archive

PACKAGES = "opt/venv/lib/python3.11/site-packages"


def test_layers_are_named_by_their_steps(tmp_path: Path) -> None:
    copied = f"/bin/sh -c #(nop) COPY dir:{'a1' * 32} in /model "
    archive = write_archive(
        tmp_path,
        [
            ("/bin/sh -c make it", {"a": b"1"}),
            (copied, {"model/b": b"22"}),
            ("RUN x # buildkit", {"c": b""}),
        ],
    )
    layers = read_layers(archive)
    assert [layer.step for layer in layers] == [
        "RUN make it",
        "COPY … in /model",
        "RUN x # buildkit",
    ]
    with open_layer(archive, layers[1]) as stream:
        assert file_sizes(stream) == {"model/b": 2}
    assert read_config(archive)["config"] == {"User": "1"}


def test_the_packed_size_is_what_gzip_makes_of_it(tmp_path: Path) -> None:
    content = bytes(range(256)) * 8192
    (tmp_path / "x").write_bytes(content)
    with (tmp_path / "x").open("rb") as stream:
        assert abs(packed_bytes(stream) - len(gzip.compress(content))) < 64


def test_files_count_for_the_distribution_that_recorded_them(tmp_path: Path) -> None:
    record = b"own/__init__.py,sha256=x,5\r\nown.libs/lib.so,,\n../../../bin/own,,\n"
    record += b"own_x-1.0.dist-info/RECORD,,\n"
    files = {
        f"{PACKAGES}/own/__init__.py": b"a = 1",
        f"{PACKAGES}/own/__pycache__/__init__.cpython-311.pyc": b"12345678",
        f"{PACKAGES}/own.libs/lib.so": b"1" * 100,
        "opt/venv/bin/own": b"12",
        f"{PACKAGES}/own_x-1.0.dist-info/RECORD": record,
        f"{PACKAGES}/nobody.py": b"1" * 1000,
    }
    archive = write_archive(tmp_path, [("RUN pip", files)])
    with open_layer(archive, read_layers(archive)[0]) as stream:
        assert distribution_sizes(stream) == {"own_x": 5 + 8 + 100 + 2 + len(record)}

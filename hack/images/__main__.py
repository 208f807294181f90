"""``python -m hack.images [base | redis | worker | worker-cuda | operator | all | digest]``."""

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.table import Table

from hack.images.build import ImageName, build, build_base
from hack.images.errors import ImageError
from hack.images.layers import (
    Layer,
    distribution_sizes,
    file_sizes,
    open_layer,
    packed_bytes,
    read_layers,
)
from hack.images.recipes import ROOT, WORKER
from hack.images.store import Store
from whisperfleet.engine.ctranslate2.models import resolve_model
from whisperfleet.errors import ModelUnavailableError

_DESCRIPTION = """Build images without Docker and without a registry. Standard output names the
archives, which `ctr images import` and `docker load` take; what fills them is on standard error."""

_MIB = 1024 * 1024
_SHOWN = 12
_STEP_WIDTH = 64

_ASKED: dict[str, tuple[ImageName, ...]] = {
    "redis": ("redis",),
    "worker": ("worker",),
    "worker-cuda": ("worker-cuda",),
    "operator": ("operator",),
    "all": ("redis", "worker", "worker-cuda", "operator"),
}


def main() -> None:
    """Do what the command line asks, in one line to standard error where that fails."""
    arguments = _parse()
    try:
        if arguments.what == "digest":
            print(resolve_model(str(arguments.model.resolve())).digest)
        elif arguments.what == "base":
            print(build_base())
        else:
            for name in _ASKED[arguments.what]:
                _build_and_show(name, Store())
    except (ImageError, ModelUnavailableError, OSError) as error:
        sys.exit(f"{error}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m hack.images", description=_DESCRIPTION)
    commands = parser.add_subparsers(dest="what", required=False)
    parser.set_defaults(what="all")
    commands.add_parser("base", help="the Debian below the others; prints its name")
    commands.add_parser("redis", help="Redis as Debian has it")
    commands.add_parser("worker", help="the worker with the demo's model")
    commands.add_parser("worker-cuda", help="the same for NVIDIA GPUs too")
    commands.add_parser("operator", help="the operator")
    commands.add_parser("all", help="all of these")
    digest = commands.add_parser("digest", help="print a model's digest, as its worker reports it")
    digest.add_argument("model", type=Path, nargs="?", default=ROOT / str(WORKER.model))
    return parser.parse_args()


def _build_and_show(name: ImageName, store: Store) -> None:
    began = time.monotonic()
    archive = build(name, store)
    seconds = time.monotonic() - began
    # Standard output has the archive alone, for scripts.
    console = Console(stderr=True)
    layers = read_layers(archive)
    console.print(_layer_table(name, layers, _packed_sizes(archive, layers, store)))
    console.print(_filling(archive, max(layers, key=lambda layer: layer.unpacked_bytes)))
    console.print(f"{name}: built, or found, in {seconds:.1f} s", highlight=False)
    print(archive)


def _layer_table(name: str, layers: list[Layer], packed: dict[str, int]) -> Table:
    table = Table(title=f"{name}: layers in MiB, the lowest first")
    table.add_column("unpacked", justify="right")
    table.add_column("gzip", justify="right")
    table.add_column("made by")
    for layer in layers:
        table.add_row(
            _mib(layer.unpacked_bytes), _mib(packed[layer.digest]), layer.step[:_STEP_WIDTH]
        )
    table.add_section()
    table.add_row(
        _mib(sum(layer.unpacked_bytes for layer in layers)), _mib(sum(packed.values())), "all"
    )
    return table


def _filling(archive: Path, layer: Layer) -> Table:
    """Return what takes most of a layer: Python distributions, or files where it has none."""
    with open_layer(archive, layer) as stream:
        sizes, what = distribution_sizes(stream), "Python distributions"
    if not sizes:
        with open_layer(archive, layer) as stream:
            sizes, what = Counter(file_sizes(stream)), "files"
    table = Table(title=f"{what} of the largest layer, unpacked MiB")
    table.add_column(what)
    table.add_column("MiB", justify="right")
    shown = sizes.most_common(_SHOWN)
    for name, size in shown:
        table.add_row(name, _mib(size))
    rest = sizes.total() - sum(size for _, size in shown)
    table.add_row(f"{len(sizes) - len(shown)} more", _mib(rest))
    return table


def _packed_sizes(archive: Path, layers: list[Layer], store: Store) -> dict[str, int]:
    """Return the compressed bytes of each layer by its digest; each is measured once."""
    known: dict[str, int] = {}
    if store.layer_sizes.exists():
        known = json.loads(store.layer_sizes.read_text())
    for layer in layers:
        if layer.digest not in known:
            with open_layer(archive, layer) as stream:
                known[layer.digest] = packed_bytes(stream)
    store.layer_sizes.write_text(json.dumps(known, indent=1, sort_keys=True))
    return {layer.digest: known[layer.digest] for layer in layers}


def _mib(size: int) -> str:
    return f"{size / _MIB:.1f}"


if __name__ == "__main__":
    main()

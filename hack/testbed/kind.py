"""Stands in for the ``kind`` command, so that the fixtures of pytest-kind work with the testbed.

``pytest --kind-bin hack/testbed/kind``; for its kubectl give ``--kind-kubectl-bin`` too. There is
one testbed on a machine, and others may be using it: creating a cluster attaches to it, and
deleting one leaves it up (``make cluster-down`` takes it down).
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hack.testbed.cluster import Testbed
from hack.testbed.errors import TestbedError

__all__ = ["main"]


def main(arguments: Sequence[str]) -> int:
    """Do what kind would do; the exit code is 2 for what the testbed has no counterpart of."""
    testbed = Testbed()
    try:
        match arguments:
            case ["get", "clusters"]:
                # None: pytest-kind then asks for one, and hears where its kubeconfig shall be.
                pass
            case ["create", "cluster", *options]:
                _create(testbed, options)
            case ["delete", "cluster", *_]:
                print("the testbed stays up; `make cluster-down` takes it down", file=sys.stderr)
            case ["load", "image-archive", *options]:
                for archive in _positional(options):
                    testbed.load_image(Path(archive))
            case ["load", "docker-image", *options]:
                for image in _positional(options):
                    _load_from_docker(testbed, image)
            case _:
                print(f"kind: the testbed has no `{' '.join(arguments)}`", file=sys.stderr)
                return 2
    except TestbedError as error:
        print(f"kind: {error}", file=sys.stderr)
        return 1
    return 0


def _create(testbed: Testbed, options: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="kind create cluster")
    parser.add_argument("--kubeconfig", type=Path)
    asked, _ = parser.parse_known_args(options)
    testbed.up()
    if asked.kubeconfig:
        shutil.copyfile(testbed.kubeconfig, asked.kubeconfig)


def _positional(options: Sequence[str]) -> list[str]:
    parser = argparse.ArgumentParser(prog="kind load")
    parser.add_argument("--name")
    parser.add_argument("what", nargs="+")
    found: list[str] = parser.parse_args(options).what
    return found


def _load_from_docker(testbed: Testbed, image: str) -> None:
    if shutil.which("docker") is None:
        raise TestbedError(
            f"{image} cannot be taken from Docker, which is not on the PATH: "
            "use `load image-archive FILE` with an archive of the image"
        )
    with tempfile.NamedTemporaryFile(suffix=".tar") as archive:
        saved = subprocess.run(
            ["docker", "save", "--output", archive.name, image],
            check=False,
            capture_output=True,
            text=True,
        )
        if saved.returncode != 0:
            raise TestbedError(f"`docker save {image}` failed: {saved.stderr.strip()}")
        testbed.load_image(Path(archive.name))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`whisperfleet version`."""

import platform

from whisperfleet import __version__
from whisperfleet.cli.options import JsonOption
from whisperfleet.cli.output import print_json, print_text
from whisperfleet.contract.job import PROTOCOL_VERSION

__all__ = ["version"]


def version(as_json: JsonOption = False) -> None:
    """Print the versions of the program, of the protocol that it speaks, and of Python."""
    versions = {
        "whisperfleet": __version__,
        "protocol": PROTOCOL_VERSION,
        "python": platform.python_version(),
    }
    if as_json:
        print_json(versions)
    else:
        print_text("\n".join(f"{name} {number}" for name, number in versions.items()))

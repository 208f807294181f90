"""The settings as a page to read: ``python -m whisperfleet.settings.reference FOLDER``."""

import sys
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from whisperfleet.settings import REQUIRED, SETTINGS, Setting

__all__ = ["FILE_NAME", "main", "render"]

FILE_NAME: Final = "settings.md"

_HEAD: Final = """# Settings of a worker

Written by `make schema` from the declarations in `inference/whisperfleet/settings`: change them
there. Each is an option of `whisperfleet worker` and an environment variable. On Kubernetes a field
of the [TranscriptionService](api-reference.md) sets it; what has no field may stand in
`spec.pools[].template.env` by its variable, but for what the operator sets itself.
"""


def render(settings: Iterable[Setting]) -> str:
    """Return the page about settings, in a section for each title in their order."""
    lines = [_HEAD]
    for title, group in groupby(settings, key=lambda each: each.title):
        lines += [f"## {title}", "", "| option | variable | field | default | what |"]
        lines += ["|---|---|---|---|---|", *map(_row, group), ""]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page into the folder that is the only argument; return the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m whisperfleet.settings.reference FOLDER\n")
        return 2
    file = Path(arguments[0]) / FILE_NAME
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(render(SETTINGS), encoding="utf-8")
    sys.stdout.write(f"{file}\n")
    return 0


def _row(setting: Setting) -> str:
    options = ", ".join(f"`{each}`" for each in setting.option.split("/"))
    what = "".join(f"\\{letter}" if letter in "<*|" else letter for letter in setting.help)
    cells = (options, f"`{setting.variable}`", _field(setting), _default(setting), what)
    return f"| {' | '.join(cells)} |"


def _field(setting: Setting) -> str:
    if setting.spec is not None:
        return f"`{setting.spec.path}`"
    return "the operator's" if setting.reserved else ""


def _default(setting: Setting) -> str:
    if setting.default is REQUIRED:
        return "**required**"
    if setting.default is None:
        return ""
    text = setting.write(setting.default)
    return f"`{text}`" if text else ""


if __name__ == "__main__":
    sys.exit(main())

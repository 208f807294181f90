"""The folder `operator` of the tree is no package, so it cannot hide the standard library's."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[4]

_IMPORT = """
import sys
sys.modules.pop("operator", None)
sys.path[:0] = sys.argv[1:]
import operator
print(operator.add(1, 2), operator.__file__)
"""


def test_the_standard_library_is_imported_from_the_root_of_the_tree() -> None:
    """A folder without __init__.py yields to any module of that name further down the path."""
    command = [sys.executable, "-c", _IMPORT, str(ROOT)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    total, file = said.split(maxsplit=1)
    assert total == "3"
    assert not Path(file).is_relative_to(ROOT / "operator")
    assert Path(file.strip()).name.startswith("operator.py")
